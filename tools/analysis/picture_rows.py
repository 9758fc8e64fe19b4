"""Pictures in rows and named columns as one figure.

python tools/analysis/picture_rows.py --columns NAME ... --row LABEL PICTURE ... --out FIGURE
"""

import argparse

from arguments import create_parser

from sesim_mmagic.apis import command_line


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = create_parser(__doc__.splitlines()[0])
    parser.add_argument('--columns', nargs='+', required=True, metavar='NAME')
    text = 'a label and a picture for each column; all get the shape of the first'
    row = dict(nargs='+', action='append', required=True, metavar='TEXT', help=text)
    parser.add_argument('--row', **row)
    args = parser.parse_args(argv)
    for label, *paths in args.row:
        if len(paths) != len(args.columns):
            parser.error(
                f"the row '{label}' has {len(paths)} pictures, --columns names {len(args.columns)}"
            )
    return args


if __name__ == '__main__':
    command_line.answer_first(parse_args)

from common import write_figure

from sesim_mmagic.engine.map_figure import Cell
from sesim_mmagic.utils.images import read_picture


@command_line.command()
def main(argv: list[str] | None = None) -> None:
    """Read the pictures and write the figure."""
    args = parse_args(argv)
    command_line.check_out(args.out, args.overwrite)
    rows = [(label, [Cell(read_picture(path)) for path in paths]) for label, *paths in args.row]
    write_figure(args.out, [('', args.columns)], rows)


if __name__ == '__main__':
    main()
