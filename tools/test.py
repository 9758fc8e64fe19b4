"""Test a checkpoint: python tools/test.py CONFIG CHECKPOINT [--out metrics.json]."""

import argparse
from collections.abc import Sequence

from sesim_mmagic.apis import command_line


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; it is MMagic's."""
    parser = command_line.create_parser('Test a model: metrics, translated pictures and a page.')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file, or name of a released model')
    parser.add_argument('--out', help='file for the metrics (.json, .yaml or .pkl)')
    return parser.parse_args(argv)


@command_line.command()
def main(argv: Sequence[str] | None = None) -> None:
    """Check the settings, then test."""
    args = parse_args(argv)
    from sesim_mmagic.apis import config_files, launch, ranks

    cfg = config_files.load_config(args)
    launch.prepare_test(cfg, args.checkpoint, args.out, args.overwrite)
    ranks.meet_ranks()
    launch.check_data(cfg, ['test'])
    launch.test(cfg, out=args.out, overwrite=args.overwrite)
    ranks.leave_job()


if __name__ == '__main__':
    main()
