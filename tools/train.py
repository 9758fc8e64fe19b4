"""Train a model: python tools/train.py CONFIG [--resume | --overwrite] [--amp] [--work-dir DIR]."""

import argparse
from collections.abc import Sequence

from sesim_mmagic.apis import command_line


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; it is MMagic's."""
    parser = command_line.create_parser('Train a model.')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--resume',
        action='store_true',
        help='continue from the last checkpoint in the work directory, or from '
        '--cfg-options load_from=PATH',
    )
    parser.add_argument(
        '--amp', action='store_true', help='train in mixed precision (bfloat16 on the CPU)'
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale learning rates by the batch size of all ranks',
    )
    parser.add_argument(
        '--domain-mapping',
        nargs='+',
        type=command_line.option_pairs,
        metavar='OLD=NEW',
        help='names of the domains of load_from, a model of other domains, in this one: '
        'horse=cloudy zebra=sunny (setting domain_mapping of a config)',
    )
    return parser.parse_args(argv)


@command_line.command('the same command with --resume goes on from the last checkpoint')
def main(argv: Sequence[str] | None = None) -> None:
    """Check the settings, then train."""
    args = parse_args(argv)
    from sesim_mmagic.apis import config_files, launch, ranks

    cfg = config_files.load_config(args)
    if args.amp:
        launch.enable_amp(cfg)
    if args.auto_scale_lr:
        launch.enable_auto_scale_lr(cfg)
    if args.resume:
        cfg.resume = True
    if args.domain_mapping:
        cfg.domain_mapping = dict(pair.split('=', 1) for pair in args.domain_mapping)
    launch.prepare_start(cfg, args.overwrite)
    ranks.meet_ranks()
    launch.check_data(cfg)
    launch.train(cfg, args.overwrite)
    ranks.leave_job()


if __name__ == '__main__':
    main()
