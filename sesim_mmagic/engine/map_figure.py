"""A figure of pictures and similarity maps side by side."""

from typing import NamedTuple

import cv2
import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sesim_mmagic.utils.names import printable

# All in pixels of the figure.
_MIN_CELL, _MAX_CELL = 128, 256
_GAP, _GROUP_GAP, _MARGIN = 4, 18, 6
_LABEL_WIDTH, _HEADING_HEIGHT, _NOTE_HEIGHT = 18, 36, 16
_DPI = 100


class Cell(NamedTuple):
    """What one place of the figure shows.

    Attributes:
        values (np.ndarray): A picture (H, W, 3), BGR, uint8, or a map (h, w) of numbers.
        point (tuple[float, float] | None): Query (x, y) as shares of width and height, shown by
            a cross; on a map in the middle of the position that it falls into.
    """

    values: np.ndarray
    point: tuple | None = None


def draw_maps(groups, rows):
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

    Raises:
        ValueError: There is no row, or one has another number of cells than there are columns.
    """
    columns = sum(len(names) for _, names in groups)
    if not rows or any(len(cells) != columns for _, cells in rows):
        raise ValueError(
            f'A figure of {columns} columns needs rows of as many cells, got rows of '
            f'{[len(cells) for _, cells in rows]}.'
        )
    width = max(cells[0].values.shape[1] for _, cells in rows)
    width = min(width * -(-_MIN_CELL // width), _MAX_CELL)
    lefts = _left_edges(groups, width)
    heights = [_height(cells[0].values, width) for _, cells in rows]
    # Only maps have a note below them.
    line = _GAP + (_NOTE_HEIGHT if any(_is_map(cell) for cell in rows[0][1]) else 0)
    canvas = _Canvas(lefts[-1] + width + _MARGIN, _HEADING_HEIGHT + sum(heights) + line * len(rows))
    _write_headings(canvas, groups, lefts, width)
    top = _HEADING_HEIGHT
    for (label, cells), height in zip(rows, heights, strict=True):
        canvas.write(_LABEL_WIDTH / 2, top + height / 2, _shortened(label, height), rotation=90)
        for left, cell in zip(lefts, cells, strict=True):
            _draw_cell(canvas, cell, left, top, (width, height))
        top += height + line
    return canvas.pixels()


def _left_edges(groups, width):
    edges, left = [], _LABEL_WIDTH
    for _, names in groups:
        edges += [left + i * (width + _GAP) for i in range(len(names))]
        left = edges[-1] + width + _GROUP_GAP
    return edges


def _height(picture, width):
    return max(1, round(width * picture.shape[0] / picture.shape[1]))


def _is_map(cell):
    return cell.values.ndim == 2


def _shortened(label, height):
    # About seven pixels a letter.
    room = max(4, height // 7)
    return label if len(label) <= room else f'{label[: room - 1]}…'


def _write_headings(canvas, groups, lefts, width):
    edges = iter(lefts)
    for heading, names in groups:
        own = [next(edges) for _ in names]
        canvas.write((own[0] + own[-1] + width) / 2, 9, heading, weight='bold')
        for left, name in zip(own, names, strict=True):
            canvas.write(left + width / 2, 26, name)


def _draw_cell(canvas, cell, left, top, size):
    width, height = size
    colors = _coloured(cell.values) if _is_map(cell) else cell.values[..., ::-1]
    shrinks = colors.shape[1] > width
    resized = cv2.resize(
        np.ascontiguousarray(colors),
        size,
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST_EXACT,
    )
    if cell.point is not None:
        _draw_cross(resized, _pixel(cell, size))
    canvas.array[top : top + height, left : left + width] = resized
    if _is_map(cell):
        note = f'{cell.values.min():.2g} to {cell.values.max():.2g}'
        canvas.write(left + width / 2, top + height + _NOTE_HEIGHT / 2, note, 7, color='#555')


def _coloured(values):
    low, high = values.min(), values.max()
    shares = (values - low) / (high - low) if high > low else np.zeros(values.shape)
    return matplotlib.colormaps['viridis'](shares, bytes=True)[..., :3]


def _pixel(cell, size):
    """Where the query lies in the enlarged cell, (x, y)."""
    x, y = cell.point
    if _is_map(cell):
        height, width = cell.values.shape
        x, y = (int(x * width) + 0.5) / width, (int(y * height) + 0.5) / height
    return int(x * size[0]), int(y * size[1])


def _draw_cross(picture, pixel):
    for color, size, thickness in (((0, 0, 0), 15, 5), ((255, 255, 255), 13, 2)):
        cv2.drawMarker(picture, pixel, color, cv2.MARKER_CROSS, size, thickness)


class _Canvas:
    """An RGB picture with text on it, placed by pixels from the top left corner."""

    def __init__(self, width, height):
        self.array = np.full((height, width, 3), 255, np.uint8)
        self.figure = Figure((width / _DPI, height / _DPI), dpi=_DPI)

    def write(self, x, y, text, size=8, **style):
        height, width = self.array.shape[:2]
        place = x / width, 1 - y / height
        style = dict(size=size, ha='center', va='center', parse_math=False, **style)
        self.figure.text(*place, printable(text), **style)  # a name is no formula

    def pixels(self):
        self.figure.figimage(self.array)
        canvas = FigureCanvasAgg(self.figure)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()
