"""Test a checkpoint: python tools/test.py CONFIG CHECKPOINT [--out metrics.json]."""

from sesim_mmagic.apis import launch


def parse_args(argv=None):
    """Parse the command line; it is MMagic's."""
    parser = launch.create_parser('Test a model: metrics, translated pictures and a page.')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', help='file for the metrics (.json, .yaml or .pkl)')
    return parser, parser.parse_args(argv)


def main(argv=None):
    """Check the settings, then test."""
    parser, args = parse_args(argv)
    try:
        cfg = launch.load_config(args)
        launch.check_checkpoint(args.checkpoint)
        if args.out:
            launch.check_metrics_file(args.out)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    cfg.load_from, cfg.resume = args.checkpoint, False
    launch.test(cfg, out=args.out)
    launch.leave_job()


if __name__ == '__main__':
    main()
