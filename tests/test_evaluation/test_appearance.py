"""Patches and colours of translations beside those of all real pictures."""

import random

import numpy as np
import pytest
import torch

from sesim_mmagic.evaluation import AppearanceScores
from tests.test_evaluation import samples as tools
from tests.test_evaluation.samples import sample
from tests.test_evaluation.test_patch_distance import level_by_hand, pyramid_by_hand, texture

DOMAINS = dict(target_domain='flat', source_domain='textured')
OPTIONS = dict(DOMAINS, num_directions=8)


def scores(reals, fakes, batch=3, **options):
    """Scores without prefix; the smaller set begins again, as in a test."""
    length = max(len(reals), len(fakes))
    samples = [
        sample(reals[i % len(reals)], fakes[i % len(fakes)], i % len(fakes), None, i % len(reals))
        for i in range(length)
    ]
    result = tools.evaluate(samples, AppearanceScores(**(OPTIONS | options)), batch)
    assert all(key.startswith('appearance/') for key in result)
    return {key.removeprefix('appearance/'): value for key, value in result.items()}


def textures(count, first=0, side=40, **options):
    """Pictures of one texture, each with a colour of its own."""
    rng = np.random.default_rng(first)
    colours = rng.uniform(90, 160, (count, 3))
    return [texture(first + i, side, side, colour=c, **options) for i, c in enumerate(colours)]


@pytest.fixture(scope='module')
def reals():
    return textures(8)


def test_is_the_distance_of_all_patches(reals):
    """With every patch drawn; deviations are those of all real patches."""
    fakes = textures(8, 50, contrast=25)
    options = dict(num_patches=10**4, num_directions=5, seed=3, max_levels=1)
    found = scores(reals, fakes, **options)
    directions = torch.randn(5, 147, generator=torch.Generator().manual_seed(3))
    directions = (directions / directions.norm(dim=1, keepdim=True)).double().numpy()

    def patches(pictures):
        windows = np.lib.stride_tricks.sliding_window_view(np.stack(pictures), (7, 7), (1, 2))
        return windows.reshape(-1, 3, 49).astype(np.float64)

    both = [patches(pictures) for pictures in (reals, fakes)]
    deviation = both[0].std(axis=(0, 2))[:, None]
    projected = [(p / deviation).reshape(-1, 147) @ directions.T for p in both]
    distances = np.abs(np.sort(projected[0], axis=0) - np.sort(projected[1], axis=0))
    assert found['swd_1'] == pytest.approx(1000 * distances.mean(), rel=1e-4)
    assert found['swd'] == found['swd_1']


def test_levels_are_those_of_a_pyramid():
    """Of one picture twice a set, it is the distance of two pictures, level by level."""
    real, fake = texture(0, 64, 64), texture(1, 64, 64, 2.5)
    found = scores([real] * 2, [fake] * 2, num_patches=10**4, num_directions=5, seed=3)
    directions = torch.randn(5, 147, generator=torch.Generator().manual_seed(3))
    directions = (directions / directions.norm(dim=1, keepdim=True)).double().numpy()
    levels = zip(*[pyramid_by_hand(picture, 2) for picture in (real, fake)], strict=True)
    for i, level in enumerate(levels):
        # Deviations here are those of patches, in which borders count less.
        assert found[f'swd_{2**i}'] == pytest.approx(level_by_hand(*level, directions), rel=0.05)
    assert found['swd'] == pytest.approx((found['swd_1'] + found['swd_2']) / 2)


def test_a_shift_of_colour():
    """Moves every projection alike, and no spread; the floor is left where details are."""
    reals = textures(4, side=64, contrast=8)
    fakes = [picture + np.array([20, 0, 0], np.uint8) for picture in reals]
    same, moved = (scores(reals, x, num_patches=256) for x in (reals, fakes))
    assert moved['swd_2'] > 5 * same['swd_2'] and moved['swd_1'] < 1.2 * same['swd_1']
    assert moved['colour_spread'] == pytest.approx(moved['colour_spread_real'])


def test_spread_of_colours_by_hand(reals):
    fakes = [np.full((40, 40, 3), level, np.uint8) for level in ([90, 20, 50], [110, 60, 50])]
    found = scores(reals, fakes)
    assert found['colour_spread'] == pytest.approx((500 / 3) ** 0.5)  # variances 100, 400, 0
    means = np.array([picture.mean(axis=(0, 1)) for picture in reals])
    assert found['colour_spread_real'] == pytest.approx(means.var(axis=0).mean() ** 0.5)
    assert scores(reals, fakes[:1] * 2)['colour_spread'] == 0


def test_a_set_against_itself_shows_the_floor(reals):
    """Of few patches; the same kind of pictures is as near, another kind is not."""
    floors = [scores(reals, reals, num_patches=n)['swd'] for n in (16, 256)]
    assert floors[0] > 2.5 * floors[1] > 0
    near, far = (
        [texture(60 + i, 40, 40, grain, colour=x.mean((0, 1))) for i, x in enumerate(reals)]
        for grain in (1.5, 4)
    )
    near, far = (scores(reals, pictures, num_patches=256)['swd'] for pictures in (near, far))
    assert near < 3 * floors[1] < far


def test_neither_order_nor_batches_nor_the_state_of_the_process_matter(reals):
    fakes = textures(7, 50)
    found = scores(reals, fakes)
    pairs = list(enumerate(reals)), list(enumerate(fakes))
    for pictures in pairs:
        random.Random(1).shuffle(pictures)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    again = scores(*([picture for _, picture in pictures] for pictures in pairs), batch=1)
    assert again == pytest.approx(found, rel=1e-6) and torch.equal(state, torch.get_rng_state())
    assert scores(reals, fakes, seed=1)['swd'] != found['swd']


def test_all_pictures_count(reals):
    """One of another kind among many shows, whichever it is."""
    flat = np.zeros((40, 40, 3), np.uint8)
    plain = scores(reals, reals)['swd']
    for number in (0, 5):
        assert scores(reals, [*reals[:number], flat, *reals[number + 1 :]])['swd'] > 1.5 * plain


def test_bad_pictures(reals):
    for sets in ((reals[:1], reals), (reals, reals[:1])):
        with pytest.raises(ValueError, match='at least 2 real .* got (1 and 8|8 and 1); test on'):
            scores(*sets)
    small = [picture[:6] for picture in reals]
    with pytest.raises(ValueError, match='a translation has 6 x 40 .* a patch of 7 x 7'):
        scores(reals, small)
    with pytest.raises(ValueError, match='a real picture has 6 x 40'):
        scores(small, reals)
    mixed = [*reals, texture(9, 130, 130)]
    with pytest.raises(ValueError, match='have 1 to 3 levels, .* set max_levels=1'):
        scores(reals, mixed)
    assert np.isfinite(scores(reals, mixed, max_levels=1)['swd'])


@pytest.mark.parametrize('name', ['max_levels', 'num_patches', 'num_directions'])
def test_counts_that_are_none(name):
    with pytest.raises(ValueError, match=f'AppearanceScores: {name} must be a whole number'):
        AppearanceScores(**DOMAINS, **{name: 0})
