"""Publish a model: python tools/publish_model.py CHECKPOINT --out DIR --licence TEXT.

Writes <name>_<date>-<sha8>.pth with what inference needs and a model card beside it. With --root
the model also gets its entry in the metafile of its method and in model-index.yml.
"""

import argparse
from collections.abc import Sequence

from sesim_mmagic.apis import command_line


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='Publish a trained model: checkpoint, model card, entry in the index.'
    )
    add = parser.add_argument
    add('checkpoint', help='checkpoint, or work directory: its best checkpoint, else the last')
    add('--out', required=True, help='folder for checkpoint and model card')
    add('--licence', required=True, help='licence of the weights; the data may decide it')
    add('--name', help='name of the model; by default that of its config')
    add('--config', help='config, if not the one that the checkpoint holds')
    add('--no-ema', dest='ema', action='store_false', help='no moving average, if there is one')
    add('--half', action='store_true', help='store weights in half precision: half the size')
    add(
        '--scores',
        metavar='WORK_DIR',
        help='of a test of the released file; by default the scores of the checkpoint, if they are '
        'those of the file (not with --half)',
    )
    add('--samples', nargs='+', default=[], metavar='PICTURE', help='sources for the model card')
    add('--base-url', help='address of the folder where the file can be had')
    add(
        '--root',
        metavar='REPOSITORY',
        help='folder with configs/ and model-index.yml, where the model is to be listed; by '
        'default nothing is written outside --out',
    )
    add('--date', help='YYYYMMDD; by default when the checkpoint was written')
    add('--data', help="training data; by default the name of the data's folder")
    add('--resources', help='hardware and time of the training; by default what it noted')
    add('--limits', default='', help='what the model cannot do, for the model card')
    add('--overwrite', action='store_true', help='replace this release if --out holds it already')
    return parser.parse_args(argv)


@command_line.command()
def main(argv: Sequence[str] | None = None) -> None:
    """Publish, and say what was written."""
    options = vars(parse_args(argv))
    from sesim_mmagic.apis.release.publish import choose_checkpoint, publish

    options['checkpoint'], why = choose_checkpoint(options['checkpoint'])
    print(f'checkpoint: {options["checkpoint"]} ({why})')
    print(*publish(**options), sep='\n')


if __name__ == '__main__':
    main()
