"""Make an unpaired data set, ink sketch -> painting, from the pictures of the KaoKore dataset.

trainA holds sketches and trainB paintings of different pictures; testA/x.png is the sketch of
testB/x.png, so that a translation has a truth. The pictures are to be had with the script of
https://github.com/rois-codh/kaokore (ROIS-DS Center for Open Data in the Humanities,
CC BY-SA 4.0), which puts them in a folder images_256.
"""

import argparse
from collections import Counter
from pathlib import Path

from sesim_mmagic.apis import command_line


def ink_sketch(painting):
    """Dark lines on white: an extended difference of Gaussians (Winnemoeller et al., 2012).

    Lines follow the dark side of edges; a dark plain keeps some grey, as if washed with ink.

    Args:
        painting (np.ndarray): RGB picture (H, W, 3), uint8.

    Returns:
        np.ndarray: Grey picture (H, W), uint8.
    """
    import numpy as np
    from PIL import Image
    from scipy.ndimage import gaussian_filter

    luminance = np.asarray(Image.fromarray(painting).convert('L'), dtype=np.float64) / 255
    sigma = 1.22 * min(luminance.shape) / 128
    difference = gaussian_filter(luminance, sigma) - 0.952 * gaussian_filter(luminance, 2.2 * sigma)
    # White above the threshold, falling smoothly to black below it.
    sketch = 1 + np.tanh(41 * np.minimum(difference - 0.018, 0))
    return np.rint(255 * sketch).astype(np.uint8)


def split(names, num_test, limit, seed):
    """Deal names to 'test', 'trainA' and 'trainB', without overlap; each part is sorted.

    Raises:
        ValueError: If nothing would be left to train on.
    """
    from sesim_mmagic.utils.random import deal

    left = (len(names) - num_test) // 2
    each = left if limit is None else min(limit, left)
    if min(num_test, each) < 1:
        raise ValueError(
            f'{len(names)} pictures cannot be dealt to {num_test} test pairs, sketches and '
            'paintings, one of each at least; give more pictures or another --test or --limit'
        )
    return deal(names, dict(test=num_test, trainA=each, trainB=each), seed)


def usable(folder, skip_broken):
    """The pictures of a folder and those inside it by their stems."""
    from sesim_mmagic.datasets.checking import BrokenPictures, find_broken
    from sesim_mmagic.datasets.sources import say_left_out
    from sesim_mmagic.utils.images import list_images, shown

    listing = list_images(folder)
    say_left_out(listing)
    stems = Counter(path.stem for path in listing.files)
    if len(stems) < len(listing.files):
        raise ValueError(
            f'several pictures of {shown(folder)} are called {stems.most_common(1)[0][0]!r} but '
            'for their folders and suffixes; rename or remove all but one'
        )
    broken = find_broken([str(path) for path in listing.files])
    if broken and not skip_broken:
        raise BrokenPictures(broken)
    return {path.stem: path for path in listing.files if str(path) not in broken}


def write_pictures(folder, parts, paths, size):
    """Write the paintings and the sketches of each part of the data set."""
    import numpy as np
    from PIL import Image, ImageOps
    from rich.progress import track

    from sesim_mmagic.utils.images import read_picture

    folders = dict(test=('testA', 'testB'), trainA=('trainA',), trainB=('trainB',))
    for name in ('trainA', 'trainB', 'testA', 'testB'):
        (folder / name).mkdir()
    jobs = [(part, stem) for part, stems in parts.items() for stem in stems]
    for part, stem in track(jobs, 'pictures'):
        rgb = np.ascontiguousarray(read_picture(paths[stem])[..., ::-1])
        painting = ImageOps.fit(Image.fromarray(rgb), (size, size), Image.Resampling.LANCZOS)
        for name in folders[part]:
            is_sketch = name.endswith('A')
            picture = Image.fromarray(ink_sketch(np.asarray(painting))) if is_sketch else painting
            picture.save(folder / name / f'{stem}.png')


def parse_args():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('pictures', help='folder with the KaoKore pictures, e.g. images_256')
    parser.add_argument('--out', default='data/kaokore_sketch', help='(default: %(default)s)')
    parser.add_argument('--size', type=int, default=128, help='side in pixels (%(default)s)')
    parser.add_argument('--test', type=int, default=100, help='test pairs (%(default)s)')
    text = 'most pictures in each of trainA and trainB (all)'
    parser.add_argument('--limit', type=int, help=text)
    parser.add_argument('--seed', type=int, default=0, help='of the shuffling (%(default)s)')
    text = 'leave out pictures that cannot be used'
    parser.add_argument('--skip-broken', action='store_true', help=text)
    return parser.parse_args()


@command_line.command()
def main():
    """Write the data set; its folder appears once it is complete."""
    args = parse_args()
    from sesim_mmagic.utils.files import new_folder

    if args.size < 16:
        raise ValueError(f'--size must be at least 16 pixels, got {args.size}')
    if not Path(args.pictures).is_dir():
        raise FileNotFoundError(f'{args.pictures!r} is not a folder; give that of the pictures')
    with new_folder(args.out) as folder:
        paths = usable(args.pictures, args.skip_broken)
        parts = split(list(paths), args.test, args.limit, args.seed)
        write_pictures(folder, parts, paths, args.size)
    print(
        f'\n{args.out}: {len(parts["trainA"])} sketches and {len(parts["trainB"])} paintings to '
        f'train on, {len(parts["test"])} test pairs, {args.size} x {args.size} pixels.'
    )


if __name__ == '__main__':
    main()
