"""Publish a model: python tools/publish_model.py CHECKPOINT --out DIR --licence TEXT.

Writes <config>_<date>-<sha8>.pth with what inference needs and a model card beside it. With --root
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
    parser.add_argument(
        'checkpoint',
        help='checkpoint, or work directory of a training: its best checkpoint, else the last',
    )
    parser.add_argument('--out', required=True, help='folder for checkpoint and model card')
    parser.add_argument(
        '--licence', required=True, help='licence of the weights; the data may decide it'
    )
    parser.add_argument('--config', help='config, if not the one that the checkpoint holds')
    parser.add_argument(
        '--no-ema', action='store_true', help='the trained generators, not their moving average'
    )
    parser.add_argument(
        '--samples', nargs='+', default=[], metavar='PICTURE', help='pictures for the model card'
    )
    parser.add_argument('--base-url', help='address of the folder where the file can be had')
    parser.add_argument(
        '--root',
        metavar='REPOSITORY',
        help='folder with configs/ and model-index.yml, where the model is to be listed; by '
        'default nothing is written outside --out',
    )
    parser.add_argument('--date', help='YYYYMMDD; by default when the checkpoint was written')
    parser.add_argument('--data', help="training data; by default the name of the data's folder")
    parser.add_argument(
        '--resources', help='hardware and time of the training; by default what it noted'
    )
    parser.add_argument('--limits', default='', help='what the model cannot do, for the card')
    parser.add_argument(
        '--overwrite', action='store_true', help='replace this release if it is in --out already'
    )
    return parser.parse_args(argv)


@command_line.command()
def main(argv: Sequence[str] | None = None) -> None:
    """Publish, and say what was written."""
    args = parse_args(argv)
    from sesim_mmagic.apis.release.publish import choose_checkpoint, publish

    checkpoint, why = choose_checkpoint(args.checkpoint)
    print(f'checkpoint: {checkpoint} ({why})')
    release = publish(
        checkpoint,
        args.out,
        licence=args.licence,
        config=args.config,
        ema=not args.no_ema,
        samples=args.samples,
        base_url=args.base_url,
        root=args.root,
        date=args.date,
        data=args.data,
        resources=args.resources,
        limits=args.limits,
        overwrite=args.overwrite,
    )
    for path in (release.path, release.card, *release.index):
        print(path)


if __name__ == '__main__':
    main()
