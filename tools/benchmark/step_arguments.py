"""The command line that train_step.py and compare_steps.py share."""

import argparse
from pathlib import Path

from sesim_mmagic.apis import command_line


def create_parser(description):
    """The command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='config files')
    parser.add_argument('--reference', help="folder of the authors' code, F-LSeSim")
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument('--sizes', type=int, nargs='+', default=[256], help='sides of pictures')
    parser.add_argument('--batch', type=int, default=1, help='pictures a batch')
    parser.add_argument('--precision', choices=('fp32', 'amp'), default='fp32', help='of ours')
    parser.add_argument('--channels-last', action='store_true', help='memory format of ours')
    parser.add_argument('--compile', action='store_true', help='torch.compile for ours')
    parser.add_argument('--repeats', type=int, default=7, help='measured rounds')
    parser.add_argument('--warmup', type=int, default=2, help='rounds before them')
    parser.add_argument('--threads', type=int, help="threads of the CPU; PyTorch's own choice")
    command_line.add_out(parser, help='JSON file for the results')
    command_line.add_cfg_options(parser)
    return parser


def parse_args(parser, argv=None):
    """Parse the command line, with what can be said about it without PyTorch."""
    args = parser.parse_args(argv)
    for name, least in dict(repeats=1, warmup=0, batch=1, threads=1).items():
        value = getattr(args, name)
        if value is not None and value < least:
            parser.error(f'--{name} must be {least} or more, got {value}')
    if min(args.sizes) < 1:
        parser.error(f'--sizes must be positive, got {min(args.sizes)}')
    for config in args.configs:
        if not Path(config).is_file():
            parser.error(f"config '{config}' does not exist (working directory: '{Path.cwd()}')")
    return args
