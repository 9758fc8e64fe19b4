"""Translate one picture into the style of another, by a training on the two.

python tools/translate_single.py SOURCE STYLE_IMAGE --out DIR [--config CONFIG] [--iterations N]
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from sesim_mmagic.apis import command_line

CONFIGS = Path(__file__).resolve().parent.parent / 'configs/single_image'
PAPER = 'fsesim_stylegan2_1xb16-50kiters_pair.py'
SMALL = 'fsesim_stylegan2-w4_1xb8-4kiters_pair.py'


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='Translate one picture into the style of another. The same command again '
        'continues a training that was interrupted.'
    )
    parser.add_argument('source', help='picture to translate')
    parser.add_argument('style_image', help='picture whose style it is to have')
    parser.add_argument('--out', required=True, help='folder for everything')
    parser.add_argument(
        '--config',
        help=f'config of configs/single_image; by default {PAPER}, or {SMALL} without a GPU',
    )
    parser.add_argument('--iterations', type=int, help="instead of the config's")
    again = parser.add_mutually_exclusive_group()
    again.add_argument(
        '--resume', action='store_true', help='train further where the folder holds a translation'
    )
    again.add_argument(
        '--overwrite', action='store_true', help='remove what the folder holds, and begin anew'
    )
    command_line.add_max_image_pixels(parser)
    command_line.add_cfg_options(parser)
    return parser.parse_args(argv)


@command_line.command('the same command goes on from the last checkpoint')
def main(argv: Sequence[str] | None = None) -> None:
    """Check the pictures, train, translate."""
    args = parse_args(argv)
    from mmengine.device import get_device

    from sesim_mmagic.apis.config_files import apply_options, read_config
    from sesim_mmagic.apis.settings import check_components
    from sesim_mmagic.apis.single_image import prepare_single, translate_single
    from sesim_mmagic.datasets.config_checks import set_picture_options

    config = args.config or CONFIGS / (SMALL if get_device() == 'cpu' else PAPER)
    cfg = read_config(config)
    apply_options(cfg, args.cfg_options)
    set_picture_options(cfg, max_image_pixels=args.max_image_pixels)
    check_components(cfg)
    pictures = args.source, args.style_image
    prepare_single(cfg, *pictures, args.out, args.iterations, args.resume, args.overwrite)
    translation, scores = translate_single(cfg)
    for key, value in scores.items():
        print(f'{key}: {value:.4f}')
    print(f'{translation}, shown by {Path(args.out, "report.html").resolve()}')


if __name__ == '__main__':
    main()
