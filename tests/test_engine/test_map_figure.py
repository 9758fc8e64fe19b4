"""A figure whose pictures keep their pixels."""

import numpy as np
import pytest
from matplotlib import colormaps

from sesim_mmagic.engine.map_figure import Cell, draw_maps

GROUPS = [('', ['input']), ('layer', ['map'])]


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 200, (height, width, 3), dtype=np.uint8)


def ramp(height, width):
    return np.arange(height * width, dtype=float).reshape(height, width)


def find(figure, part):
    """Top left corner of a part of the figure, by exact pixels."""
    height, width = part.shape[:2]
    places = [
        (y, x)
        for y, x in np.argwhere((figure == part[0, 0]).all(axis=2))
        if np.array_equal(figure[y : y + height, x : x + width], part)
    ]
    assert len(places) == 1, places
    return places[0]


@pytest.mark.parametrize(('side', 'factor'), [(64, 2), (100, 2), (128, 1), (200, 1)])
def test_pictures_keep_their_pixels_or_are_enlarged_by_a_whole_factor(side, factor):
    bgr = picture(20, side)
    figure = draw_maps(GROUPS, [('a', [Cell(bgr), Cell(ramp(2, 4))])])
    assert figure.dtype == np.uint8
    expected = bgr[..., ::-1].repeat(factor, axis=0).repeat(factor, axis=1)
    find(figure, expected)


def test_wide_pictures_are_scaled_down():
    smooth = np.full((400, 800, 3), 90, np.uint8)
    figure = draw_maps([('', ['input'])], [('a', [Cell(smooth)])])
    top, _ = find(figure, np.full((128, 256, 3), 90, np.uint8))
    assert top < 60 and figure.shape[1] < 300


def test_maps_are_coloured_from_their_smallest_to_their_largest_value():
    figure = draw_maps(GROUPS, [('a', [Cell(picture(64, 128)), Cell(ramp(2, 4) - 3)])])
    shades = colormaps['viridis'](ramp(2, 4) / 7, bytes=True)[..., :3]
    find(figure, shades.repeat(32, axis=0).repeat(32, axis=1))
    flat = draw_maps(GROUPS, [('a', [Cell(picture(64, 128)), Cell(np.ones((2, 4)))])])
    assert (flat[40:90, 170:280] == flat[60, 200]).all(), 'a map of one value has one colour'


def test_rows_have_the_shape_of_their_pictures():
    pictures = picture(64, 128), picture(100, 128, seed=1)
    rows = [(str(i), [Cell(p), Cell(ramp(4, 4))]) for i, p in enumerate(pictures)]
    figure = draw_maps(GROUPS, rows)
    first, second = (find(figure, p[..., ::-1]) for p in pictures)
    assert first[1] == second[1]
    assert second[0] >= first[0] + 64, 'rows overlap'
    assert figure.shape[0] >= second[0] + 100


def crosses(figure, corner, size):
    """Middle (x, y), as shares of the cell, of what is white in it."""
    cell = figure[corner[0] : corner[0] + size[1], corner[1] : corner[1] + size[0]]
    rows, columns = np.nonzero((cell == 255).all(axis=2))
    return columns.mean() / size[0], rows.mean() / size[1]


def test_crosses_stand_at_the_query_and_at_its_position_of_the_map():
    grey = np.full((64, 128, 3), 100, np.uint8)
    plain = draw_maps(GROUPS, [('a', [Cell(grey), Cell(ramp(2, 4))])])
    corners = find(plain, grey), find(plain, plain[36:100, 164:292])
    point = (0.3, 0.6)
    figure = draw_maps(GROUPS, [('a', [Cell(grey, point), Cell(ramp(2, 4), point)])])
    found = [crosses(figure, corner, (128, 64)) for corner in corners]
    assert found[0] == pytest.approx(point, abs=0.02)
    # The second of four columns and the second of two rows.
    assert found[1] == pytest.approx((1.5 / 4, 1.5 / 2), abs=0.02)


def test_labels_are_text_and_no_formulas():
    """Of a name with dollars, of any length."""
    for label in ('$x$', r'\frac', 'x' * 500):
        draw_maps([('$', ['$y$'])], [(label, [Cell(picture(64, 128))])])
