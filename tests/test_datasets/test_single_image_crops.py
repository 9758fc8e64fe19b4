"""Crops of zoomed pictures: the right pixels, and the draws of the paper."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import stats

from sesim_mmagic.datasets.single_image_pair import Crop, cut, draw_crops


def triangle_matrix(source, target):
    """Antialiased linear resampling of ``source`` values to ``target``, float64."""
    scale = source / target
    centres = (np.arange(target) + 0.5) * scale
    distance = np.abs(np.arange(source) + 0.5 - centres[:, None]) / max(scale, 1)
    weights = np.clip(1 - distance, 0, None)
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    'zoomed', [(301, 240), (100, 81), (32, 32), (32, 240), (203, 117), (300, 97), (151, 200)]
)
@pytest.mark.parametrize('flipped', [False, True])
def test_a_crop_is_that_of_the_wholly_zoomed_picture(zoomed, flipped):
    width, height, side = 301, 240, 32
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    whole = np.asarray(picture.resize(zoomed, Image.Resampling.BILINEAR)).astype(float)
    down, across = triangle_matrix(height, zoomed[1]), triangle_matrix(width, zoomed[0])
    exact = np.einsum('yh,hwc,xw->yxc', down, pixels, across, optimize=True)
    lefts = {0, (zoomed[0] - side) // 2, zoomed[0] - side}
    tops = {0, (zoomed[1] - side) // 2, zoomed[1] - side}
    for left in lefts:
        for top in tops:
            crop = cut(picture, Crop(zoomed, left, top, flipped), side).astype(float)
            crop = crop[:, ::-1] if flipped else crop
            place = np.s_[top : top + side, left : left + side]
            assert np.abs(crop - whole[place]).max() <= 1
            # Two roundings to 8 bits, of rows and of columns.
            assert np.abs(crop - exact[place]).max() <= 1.05


def test_every_far_edge_lies_inside_the_picture():
    """Pillow raises where a box leaves the picture, if only by rounding."""
    for whole in (129, 1200, 4095):
        picture = Image.new('RGB', (whole, 128))
        for zoomed in range(128, whole + 1, 1 + whole // 300):
            cut(picture, Crop((zoomed, 128), zoomed - 128, 0, False), 128)


@given(
    size=st.tuples(st.integers(12, 90), st.integers(12, 90)),
    crop=st.integers(3, 12),
    min_zoom=st.floats(0.05, 1),
    passes=st.integers(1, 3),
    seed=st.integers(0, 2**31),
)
@settings(deadline=None, max_examples=150)
def test_grids_are_covered_without_repetition(size, crop, min_zoom, passes, seed):
    def draw(count):
        return draw_crops(np.random.default_rng(seed), size, crop, min_zoom, count)

    (width, height) = zoomed = draw(1)[0].zoomed
    for side, zoomed_side in zip(size, zoomed, strict=True):
        assert max(crop, round(min_zoom * side)) <= zoomed_side <= side
    columns, rows = width // crop, height // crop
    crops = draw(passes * columns * rows)
    assert {c.zoomed for c in crops} == {draw(len(crops))[0].zoomed}, 'one zoom'
    for number in range(passes):
        cells = crops[number * columns * rows : (number + 1) * columns * rows]
        left, top = min(c.left for c in cells), min(c.top for c in cells)
        assert 0 <= left <= width - columns * crop
        assert 0 <= top <= height - rows * crop
        grid = {(left + i * crop, top + j * crop) for i in range(columns) for j in range(rows)}
        assert {(c.left, c.top) for c in cells} == grid


def test_where_the_grid_lies_and_its_order_are_random():
    def corners(seed):
        crops = draw_crops(np.random.default_rng(seed), (39, 27), 10, 1, 12)
        return [(c.left, c.top) for c in crops]

    grids = [cells for seed in range(500) for cells in (corners(seed)[:6], corners(seed)[6:])]
    for axis, leftover in ((0, 9), (1, 7)):
        offsets = [cells[0][axis] % 10 for cells in grids]
        counts = np.bincount(offsets, minlength=10)
        assert stats.chisquare(counts[: leftover + 1]).pvalue > 1e-3
        assert not counts[leftover + 1 :].any()
    firsts = np.bincount([left // 10 * 2 + top // 10 for (left, top), *_ in grids], minlength=6)
    assert stats.chisquare(firsts).pvalue > 1e-3
    again = sum(corners(seed)[:6] == corners(seed)[6:] for seed in range(500))
    assert again <= 2, 'the second pass has an offset and an order of its own'


def test_zoom_factors_are_uniform_and_independent():
    crops = [
        draw_crops(np.random.default_rng(s), (6000, 9000), 300, 1 / 3, 1)[0] for s in range(900)
    ]
    factors = np.array([c.zoomed for c in crops]) / (6000, 9000)
    for side in factors.T:
        assert stats.kstest(side, stats.uniform(1 / 3, 2 / 3).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(factors.T)[0, 1]) < 0.1
