"""Score a folder of translations, whoever made them.

python tools/evaluate.py TRANSLATIONS [--real FOLDER] [--truth FOLDER] [--source FOLDER]
"""

import argparse
import json
import sys
from functools import partial

from sesim_mmagic.apis import command_line
from sesim_mmagic.utils.files import write_atomically

SCORES = ('fid', 'kid', 'density', 'coverage')


def parse_args(argv=None):
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('translations', help='folder of translations')
    parser.add_argument('--real', help='folder of real pictures: FID, KID, density, coverage')
    parser.add_argument('--truth', help='folder of truths of the same names: PSNR, SSIM, F1')
    parser.add_argument('--source', help='folder of sources of the same names: structure distance')
    parser.add_argument(
        '--scores',
        nargs='+',
        choices=SCORES,
        default=SCORES,
        help='scores of the real pictures (default: all)',
    )
    weights = "'random' (seed 0) or a path"
    parser.add_argument('--inception', default='download', help=f"'download', {weights}")
    parser.add_argument('--resize', choices=('clean', 'legacy'), default='clean')
    parser.add_argument('--vgg16', default='torchvision', help=f"'torchvision', {weights}")
    parser.add_argument('--lpips', help=f"LPIPS to the truth; AlexNet 'torchvision', {weights}")
    parser.add_argument(
        '--real-size',
        nargs=2,
        type=int,
        metavar=('HEIGHT', 'WIDTH'),
        help='size that the real pictures are brought to (default: that of the translations)',
    )
    command_line.add_max_image_pixels(parser)
    command_line.add_out(parser, help='JSON file for the scores')
    return parser.parse_args(argv)


@command_line.command()
def main(argv=None):
    """Print the scores, and write them if asked to."""
    args = parse_args(argv)
    command_line.check_out(args.out, args.overwrite)
    from rich.progress import track

    from sesim_mmagic.apis import evaluate_folder

    options = {k: v for k, v in vars(args).items() if k not in ('translations', 'out', 'overwrite')}
    options.update(progress=track, note=partial(print, file=sys.stderr))
    scores = evaluate_folder(args.translations, **options)
    for name, value in scores.items():
        print(f'{name}: {value:.4f}')
    if args.out:
        write_atomically(args.out, json.dumps(scores, indent=2) + '\n')


if __name__ == '__main__':
    main()
