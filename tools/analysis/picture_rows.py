"""Pictures in rows and named columns as one figure.

python tools/analysis/picture_rows.py --columns NAME ... --row LABEL PICTURE ... --out FIGURE
"""

import argparse

from arguments import figure_path

from sesim_mmagic.apis import command_line


def parse_args(argv=None):
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--columns', nargs='+', required=True, metavar='NAME')
    parser.add_argument(
        '--row',
        nargs='+',
        action='append',
        required=True,
        metavar='TEXT',
        help='a label and a picture for each column; all get the shape of the first',
    )
    parser.add_argument('--out', type=figure_path, required=True, help='PNG to write')
    return parser.parse_args(argv)


if __name__ == '__main__':
    command_line.answer_first(parse_args)

from common import write_figure

from sesim_mmagic.engine.map_figure import Cell
from sesim_mmagic.utils.images import read_picture


@command_line.command()
def main(argv=None):
    """Read the pictures and write the figure."""
    args = parse_args(argv)
    rows = [(label, [Cell(read_picture(path)) for path in paths]) for label, *paths in args.row]
    write_figure(args.out, [('', args.columns)], rows)


if __name__ == '__main__':
    main()
