"""A figure of pictures and similarity maps side by side."""

from collections.abc import Sequence
from textwrap import wrap
from typing import Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sesim_mmagic.utils.names import printable

# All in pixels of the figure.
_MIN_CELL, _MAX_CELL = 128, 256
_GAP, _GROUP_GAP, _MARGIN = 4, 18, 6
_LABEL_WIDTH, _HEADING_HEIGHT, _NOTE_HEIGHT = 18, 36, 16
_LETTER_WIDTH, _LINE_HEIGHT = 7, 12
_DPI = 100


class Cell(NamedTuple):
    """What one place of the figure shows.

    Attributes:
        values (np.ndarray): A picture (H, W, 3), BGR, uint8, or a map (h, w) of numbers.
        point (tuple[float, float] | None): Query (x, y) as shares of width and height, shown by
            a cross; on a map in the middle of the position that it falls into.
    """

    values: np.ndarray
    point: tuple[float, float] | None = None


def draw_maps(
    groups: Sequence[tuple[str, Sequence[str]]], rows: Sequence[tuple[str, Sequence[Cell]]]
) -> np.ndarray:
    """Draw a grid of pictures and maps with named columns.

    Pictures from 128 to 256 pixels wide keep their pixels; narrower ones are enlarged by a whole
    factor, wider ones are scaled down. Each map is coloured from its smallest value (dark) to its
    largest (bright), which stand below it. No global state of matplotlib is touched.

    Args:
        groups (Sequence[tuple[str, Sequence[str]]]): Columns that belong together: a common
            heading, maybe empty, and the names of the columns, for example
            ``[('', ['input', 'translation']), ('relu3_1', ['input', 'translation'])]``.
        rows (Sequence[tuple[str, Sequence[Cell]]]): A label, and a cell for each column. The
            first cell of a row gives all of the row its shape.

    Returns:
        np.ndarray: (H, W, 3), RGB, uint8.
    """
    width = max(cells[0].values.shape[1] for _, cells in rows)
    width = min(width * -(-_MIN_CELL // width), _MAX_CELL)
    shapes = [cells[0].values.shape for _, cells in rows]
    heights = [max(1, round(width * shape[0] / shape[1])) for shape in shapes]
    # Only maps have a note below them.
    line = _GAP + (_NOTE_HEIGHT if any(cell.values.ndim == 2 for cell in rows[0][1]) else 0)
    lefts = _left_edges(groups, width)
    names = [wrap(name, width // 6) or [''] for _, names in groups for name in names]
    top = _HEADING_HEIGHT + _LINE_HEIGHT * (max(map(len, names)) - 1)
    size = lefts[-1] + width + _MARGIN, top + sum(heights) + line * len(rows)
    figure = Figure((size[0] / _DPI, size[1] / _DPI), dpi=_DPI)
    _write_headings(figure, groups, lefts, width)
    for left, lines in zip(lefts, names, strict=True):
        for number, text in enumerate(reversed(lines)):  # they end just above the pictures
            _write(figure, left + width / 2, top - 10 - _LINE_HEIGHT * number, text)
    for (label, cells), height in zip(rows, heights, strict=True):
        room = max(4, height // _LETTER_WIDTH)
        label = label if len(label) <= room else f'{label[: room - 1]}…'
        _write(figure, _LABEL_WIDTH / 2, top + height / 2, label, rotation=90)
        for left, cell in zip(lefts, cells, strict=True):
            _draw(figure, cell, left, top, width, height)
        top += height + line
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _left_edges(groups: Sequence[tuple[str, Sequence[str]]], width: int) -> list[int]:
    edges, left = [], _LABEL_WIDTH
    for _, names in groups:
        edges += [left + i * (width + _GAP) for i in range(len(names))]
        left = edges[-1] + width + _GROUP_GAP
    return edges


def _write(figure: Figure, x: float, y: float, text: str, size: int = 8, **style: Any) -> None:
    """Write text around a pixel."""
    style = dict(size=size, ha='center', va='center', parse_math=False, **style)  # no formula
    figure.text(x / figure.bbox.width, 1 - y / figure.bbox.height, printable(text), **style)


def _write_headings(
    figure: Figure, groups: Sequence[tuple[str, Sequence[str]]], lefts: list[int], width: int
) -> None:
    edges = iter(lefts)
    for heading, names in groups:
        own = [next(edges) for _ in names]
        _write(figure, (own[0] + own[-1] + width) / 2, 9, heading, weight='bold')


def _draw(figure: Figure, cell: Cell, left: int, top: int, width: int, height: int) -> None:
    across, down = figure.bbox.width, figure.bbox.height
    place = left / across, 1 - (top + height) / down, width / across, height / down
    axis = figure.add_axes(place)
    axis.set_axis_off()
    is_map = cell.values.ndim == 2
    # In shares of the cell, from its top left corner. Whole factors keep the pixels by themselves.
    axis.imshow(
        cell.values if is_map else cell.values[..., ::-1],
        extent=(0, 1, 1, 0),
        aspect='auto',
        interpolation='nearest' if is_map else 'auto',
    )
    if is_map:
        note = f'{cell.values.min():.2g} to {cell.values.max():.2g}'
        _write(figure, left + width / 2, top + height + _NOTE_HEIGHT / 2, note, 7, color='#555')
    if cell.point is not None:
        x, y = cell.point
        if is_map:  # the middle of the position that the query falls into
            rows, columns = cell.values.shape
            x, y = (int(x * columns) + 0.5) / columns, (int(y * rows) + 0.5) / rows
        for color, size, thickness in (('black', 11, 3.6), ('white', 9, 1.4)):
            axis.plot(x, y, '+', color=color, ms=size, mew=thickness)
