"""What the command lines of the analysis tools share."""

import argparse
from pathlib import Path
from typing import Any

from sesim_mmagic.apis import command_line


def create_parser(
    description: str, figure: str | None = None, side: int | None = None
) -> argparse.ArgumentParser:
    """A parser with ``--out`` for a figure, required without a default, and perhaps ``--side``."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    settings = dict(default=figure, required=figure is None, help='PNG to write')
    command_line.add_out(parser, type=_figure_path, **settings)
    if side:
        add_side(parser, side)
    return parser


def add_side(parser: argparse.ArgumentParser, side: int) -> None:
    """Add ``--side``, see ``common.read_square``."""
    text = 'pictures of another size are resized to this square (default: %(default)s)'
    parser.add_argument('--side', type=int, default=side, help=text)


def add_points(parser: Any, name: str, default: list | None, text: str) -> None:
    """Add an option that takes queries."""
    parser.add_argument(name, nargs='+', type=_point, default=default, metavar='X,Y', help=text)


def _point(text: str) -> tuple[float, ...]:
    try:
        shares = tuple(float(share) for share in text.split(','))
    except ValueError:
        shares = ()
    if len(shares) != 2 or not all(0 <= share < 1 for share in shares):
        raise argparse.ArgumentTypeError(
            f'a point is X,Y, shares of width and height from 0 to below 1; got {text!r}'
        )
    return shares


def _figure_path(text: str) -> Path:
    if not text.lower().endswith('.png'):
        raise argparse.ArgumentTypeError(f'a figure is a PNG, name it so; got {text!r}')
    return Path(text)
