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
    """Deal names to the test set, the sketches and the paintings.

    Args:
        names (list[str]): Names of all pictures.
        num_test (int): Number of test pairs.
        limit (int | None): Most pictures for each of the two training folders.
        seed (int): Seed of the shuffling.

    Returns:
        dict[str, list[str]]: Sorted names for 'test', 'trainA' and 'trainB', without overlap.

    Raises:
        ValueError: If nothing would be left to train on.
    """
    import numpy as np

    names = np.random.default_rng(seed).permutation(sorted(names)).tolist()
    test, rest = names[:num_test], names[num_test:]
    each = len(rest) // 2 if limit is None else min(limit, len(rest) // 2)
    if min(num_test, each) < 1:
        raise ValueError(
            f'{len(names)} pictures cannot be dealt to {num_test} test pairs, sketches and '
            'paintings, one of each at least; give more pictures or another --test or --limit'
        )
    parts = dict(test=test, trainA=rest[:each], trainB=rest[each : 2 * each])
    return {name: sorted(part) for name, part in parts.items()}


def convert(pictures, out, size=128, num_test=100, limit=None, seed=0, skip_broken=False):
    """Write the data set; ``out`` appears once it is complete.

    Raises:
        FileNotFoundError: If ``pictures`` is no folder.
        FileExistsError: If ``out`` exists.
        ValueError: If there are too few pictures, some cannot be used and are not to be skipped,
            or ``size`` is below 16.
    """
    from mmengine.utils import track_iter_progress

    from sesim_mmagic.datasets.folders import is_free, new_folder

    pictures, out = Path(pictures), Path(out)
    if size < 16:
        raise ValueError(f'--size must be at least 16 pixels, got {size}')
    if not pictures.is_dir():
        raise FileNotFoundError(f'{str(pictures)!r} is no folder; give that of the pictures')
    if not is_free(out):
        raise FileExistsError(f'{str(out)!r} exists; choose another --out, or delete it first')
    paths = _usable(pictures, skip_broken)
    parts = split(list(paths), num_test, limit, seed)
    with new_folder(out) as folder:
        for name in ('trainA', 'trainB', 'testA', 'testB'):
            (folder / name).mkdir()
        jobs = [(part, stem) for part, stems in parts.items() for stem in stems]
        for part, stem in track_iter_progress(jobs):
            _write(folder, part, stem, paths[stem], size)
    return parts


def _usable(pictures, skip_broken):
    """The pictures of a folder and those inside it by their stems."""
    from sesim_mmagic.datasets.checking import BrokenPictures, find_broken
    from sesim_mmagic.datasets.sources import say_left_out
    from sesim_mmagic.utils.images import list_images, shown

    listing = list_images(pictures)
    say_left_out(listing)
    stems = Counter(path.stem for path in listing.files)
    if len(stems) < len(listing.files):
        raise ValueError(
            f'several pictures of {shown(pictures)} are called {stems.most_common(1)[0][0]!r} but '
            'for their folders and suffixes; rename or remove all but one'
        )
    broken = find_broken([str(path) for path in listing.files])
    if broken and not skip_broken:
        raise BrokenPictures(broken)
    return {path.stem: path for path in listing.files if str(path) not in broken}


def _write(folder, part, stem, path, size):
    """Write one painting, its sketch or both, depending on the part of the data set."""
    import numpy as np
    from PIL import Image, ImageOps

    from sesim_mmagic.utils.images import read_picture

    rgb = np.ascontiguousarray(read_picture(path)[..., ::-1])
    painting = ImageOps.fit(Image.fromarray(rgb), (size, size), Image.Resampling.LANCZOS)
    if part != 'trainA':
        painting.save(folder / ('trainB' if part == 'trainB' else 'testB') / f'{stem}.png')
    if part != 'trainB':
        sketch = Image.fromarray(ink_sketch(np.asarray(painting)))
        sketch.save(folder / ('trainA' if part == 'trainA' else 'testA') / f'{stem}.png')


@command_line.command()
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('pictures', help='folder with the KaoKore pictures, e.g. images_256')
    parser.add_argument('--out', default='data/kaokore_sketch', help='(default: %(default)s)')
    parser.add_argument('--size', type=int, default=128, help='side in pixels (%(default)s)')
    parser.add_argument('--test', type=int, default=100, help='test pairs (%(default)s)')
    parser.add_argument(
        '--limit', type=int, help='most pictures in each of trainA and trainB (all)'
    )
    parser.add_argument('--seed', type=int, default=0, help='of the shuffling (%(default)s)')
    parser.add_argument(
        '--skip-broken', action='store_true', help='leave out pictures that cannot be used'
    )
    args = parser.parse_args()
    settings = args.size, args.test, args.limit, args.seed, args.skip_broken
    parts = convert(args.pictures, args.out, *settings)
    print(
        f'\n{args.out}: {len(parts["trainA"])} sketches and {len(parts["trainB"])} paintings to '
        f'train on, {len(parts["test"])} test pairs, {args.size} x {args.size} pixels.'
    )


if __name__ == '__main__':
    main()
