"""Score a folder of translations, whoever made them.

python tools/evaluate.py TRANSLATIONS [--real FOLDER] [--truth FOLDER] [--source FOLDER]
"""

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial

from sesim_mmagic.apis import command_line, feature_nets
from sesim_mmagic.utils.files import write_atomically

SCORES = ('fid', 'kid', 'density', 'coverage', 'appearance')


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Score a folder of translations.')
    add = parser.add_argument
    add('translations', help='folder of translations')
    add('--real', help='folder of real pictures: FID, KID, density, coverage, patches, colours')
    add('--truth', help='folder of truths of the same names: PSNR, SSIM, F1')
    add('--source', help='folder of sources of the same names: structure distance')
    scores = 'scores of the real pictures (default: all); appearance needs no network'
    add('--scores', nargs='+', choices=SCORES, help=scores)
    feature_nets.add_set_features(parser, '--set-features', default='inception:clean')
    feature_nets.add_feature_net(parser, '--feature-net', default='torchvision')
    add('--lpips', help="LPIPS to the truth; AlexNet 'torchvision', 'random' (seed 0) or a path")
    add(
        '--real-size',
        nargs=2,
        type=int,
        metavar=('HEIGHT', 'WIDTH'),
        help='size that the real pictures are brought to (default: that of the translations)',
    )
    command_line.add_max_image_pixels(parser)
    command_line.add_out(parser, help='JSON file for the scores')
    args = parser.parse_args(argv)
    if args.real is None and (args.scores or args.real_size):
        parser.error('--scores and --real-size are of the real pictures: give --real')
    args.scores = args.scores or SCORES
    return args


@command_line.command()
def main(argv: Sequence[str] | None = None) -> None:
    """Print the scores, and write them if asked to."""
    options = vars(parse_args(argv))
    out = options.pop('out')
    command_line.check_out(out, options.pop('overwrite'))
    from rich.progress import track

    from sesim_mmagic.apis import evaluate_folder

    scores = evaluate_folder(**options, progress=track, note=partial(print, file=sys.stderr))
    for name, value in scores.items():
        print(f'{name}: {value:.4f}')
    if out:
        write_atomically(out, json.dumps(scores, indent=2) + '\n')


if __name__ == '__main__':
    main()
