"""Scores of coloured drawings, on drawings of which every pixel can be counted."""

import numpy as np
import pytest

from sesim_mmagic.evaluation.colouring import colouring, parts_of
from tests.test_evaluation.samples import SOURCE, evaluate, sample

RED, YELLOW = (210, 47, 39), (252, 234, 43)


def box(columns=20):
    """A box of one pixel's line: 44 pixels of ink around 10 x 10, of which 8 x 8 are not beside it.

    The ground is all but the 14 x 14 pixels of the box and what is beside it.
    """
    drawing = np.full((20, columns, 3), 255, np.uint8)
    drawing[4:16, 4:16] = 0
    drawing[5:15, 5:15] = 255
    return drawing


def filled(drawing, colour, rows=slice(5, 15)):
    picture = drawing.copy()
    picture[rows, 5:15] = colour
    return picture


def scores_of(pairs):
    samples = [sample(None, fake, i, source=source) for i, (source, fake) in enumerate(pairs)]
    scores = evaluate(samples, 'ColouringScores', source_domain=SOURCE)
    return {key.removeprefix('colouring/'): value for key, value in scores.items()}


def test_parts_of_a_box():
    ink, ground, regions = parts_of(box())
    assert (ink.sum(), (regions > 0).sum(), ground.sum()) == (44, 64, 400 - 14**2)
    assert len(np.unique(regions)) == 2 and not regions[5].any() and regions[6, 6]
    assert ground[0, 0] and ground[2, 10] and not ground[3, 10]


def test_an_open_box_is_ground():
    drawing = box()
    drawing[10, 15] = 255
    _, ground, regions = parts_of(drawing)
    assert not regions.any() and ground[10, 10]


def test_a_diagonal_line_is_closed():
    drawing = np.full((30, 30, 3), 255, np.uint8)
    rows, columns = np.mgrid[:30, :30]
    drawing[abs(rows - 15) + abs(columns - 15) == 10] = 0
    assert parts_of(drawing).regions[15, 15] > 0


def test_a_copy_of_the_source():
    scores = scores_of([(box(), box())] * 2)
    assert scores == dict(filled=0, even=1, ground_white=1, lines_dark=1, colour_spread=0)


def test_a_perfect_filling():
    scores = scores_of([(box(), filled(box(), YELLOW))] * 2)
    assert scores == dict(filled=1, even=1, ground_white=1, lines_dark=1, colour_spread=0)


def test_shares_are_counted():
    """Six of eight rows of the region filled; 51 of 204 pixels of ground, 11 of 44 of ink wrong."""
    drawing = box()
    picture = filled(drawing, RED, slice(5, 12))
    parts = parts_of(drawing)
    for part, colour, count in ((parts.ground, (200, 255, 255), 51), (parts.ink, YELLOW, 11)):
        where = np.argwhere(part)[:count]
        picture[where[:, 0], where[:, 1]] = colour
    scores = colouring(parts, picture)
    mean = 0.75 * np.array(RED) + 0.25 * 255
    np.testing.assert_allclose(scores.pop('colour'), mean)
    assert scores == dict(filled=0.75, even=0.75, ground_white=0.75, lines_dark=0.75)


def test_each_region_may_have_its_colour():
    drawing = box()
    drawing[5:15, 9] = 0  # 3 and 4 columns of 8 rows are left of the two regions
    picture = filled(drawing, RED)
    picture[5:15, 10:15] = YELLOW
    parts = parts_of(drawing)
    assert [(parts.regions == n).sum() for n in np.unique(parts.regions)[1:]] == [16, 24]
    assert colouring(parts, picture)['even'] == 1
    picture[5:15, 14] = RED  # beside the line, where nothing is counted
    assert colouring(parts, picture)['even'] == 1
    picture[5:15, 13] = RED  # 8 of the second region's 24
    assert colouring(parts, picture)['even'] == pytest.approx(1 - 8 / 40)


@pytest.mark.parametrize(('level', 'share'), [(230, 0), (229, 1)])
def test_white_has_a_tolerance(level, share):
    picture = np.full((20, 20, 3), 255, np.uint8)
    picture[..., 1] = level  # one channel is enough
    scores = colouring(parts_of(box()), picture)
    assert (scores['filled'], scores['ground_white']) == (share, 1 - share)


def test_spread_of_colours():
    """Red of 200 and of 100, the other channels alike: a variance of 50² in one of three."""
    pairs = [(box(), filled(box(), (level, 30, 30))) for level in (200, 100)]
    scores = scores_of(pairs)
    assert scores['colour_spread'] == pytest.approx(50 / 3**0.5)


def test_a_drawing_without_regions_counts_where_it_can():
    bare = np.full((20, 20, 3), 255, np.uint8)
    bare[10, 5:15] = 0
    scores = scores_of([(box(), filled(box(), RED)), (bare, np.full_like(bare, RED))])
    expected = dict(filled=1, even=1, ground_white=0.5, lines_dark=1, colour_spread=0)
    assert scores == expected
    with pytest.raises(ValueError, match=f'no drawing of domain {SOURCE} has what filled is'):
        scores_of([(bare, bare)])


def test_sizes_that_differ():
    with pytest.raises(ValueError, match='fake_flat has 20 x 20 pixels, img_textured .* 20 x 24'):
        scores_of([(box(24), box())])
