"""Distance between the patches of a translation and of the real picture."""

import random

import cv2
import numpy as np
import pytest
import torch
from scipy import ndimage, stats

from sesim_mmagic.evaluation import PatchDistance
from sesim_mmagic.evaluation.patch_distance import (
    count_levels,
    draw_directions,
    draw_patches,
    laplacian_pyramid,
    sliced_wasserstein,
    windows_of,
)
from tests.test_evaluation.samples import TARGET, evaluate, sample

ALL = 10**6  # patches: more than any picture here has
BINOMIAL = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256


@pytest.fixture
def host():
    """MMagic's functions of the same statistic."""
    from mmagic.evaluation.metrics import swd

    return swd


def texture(seed, height=96, width=96, grain=1.5, contrast=35, colour=(120, 90, 150)):
    """Stationary grey-ish noise: one place of it looks as any other, and as its mirror image."""
    noise = np.random.default_rng(seed).normal(size=(height, width, 3))
    noise = ndimage.gaussian_filter(noise, (grain, grain, 0), mode='wrap')
    picture = noise / noise.std() * contrast + colour
    return picture.round().clip(0, 255).astype(np.uint8)


def scores(real, fake, **options):
    options = dict(num_directions=64) | options
    result = evaluate([sample(real, np.ascontiguousarray(fake))], 'PatchDistance', **options)
    return {key.removeprefix('patch/'): value for key, value in result.items()}


def pyramid_by_hand(picture, num_levels):
    """Float64, with the filters written out and mirrored borders."""

    def blur(image, gain=1.0):
        return ndimage.convolve(image, gain * BINOMIAL[:, :, None], mode='mirror')

    levels, current = [], picture.astype(np.float64)
    for _ in range(num_levels - 1):
        smaller = blur(current)[::2, ::2]
        spread = np.zeros_like(current)
        spread[::2, ::2] = smaller
        levels.append(current - blur(spread, 4.0))
        current = smaller
    return [*levels, current]


def level_by_hand(real, fake, directions):
    """All patches of two levels of one size, projection by projection."""
    mean, deviation = real.mean((0, 1)), real.std((0, 1))
    patches = []
    for level in (real, fake):
        windows = np.lib.stride_tricks.sliding_window_view(
            (level - mean) / deviation, (7, 7), (0, 1)
        )
        patches.append(windows.reshape(-1, 147))
    distances = [stats.wasserstein_distance(*[p @ d for p in patches]) for d in directions]
    return 1000 * np.mean(distances)


@pytest.mark.parametrize(('height', 'width', 'levels'), [(40, 52, 1), (64, 70, 2), (128, 136, 3)])
def test_is_that_of_scipy(height, width, levels):
    real = texture(0, height, width)
    fake = texture(1, height, width, 2.5, 50, (100, 130, 140))
    result = scores(real, fake, num_patches=ALL, num_directions=5, seed=3)
    directions = draw_directions(147, 5, torch.Generator().manual_seed(3)).double().numpy()
    pyramids = [pyramid_by_hand(picture, levels) for picture in (real, fake)]
    for i, pair in enumerate(zip(*pyramids, strict=True)):
        assert result.pop(f'swd_{2**i}') == pytest.approx(level_by_hand(*pair, directions), 1e-4)
    assert set(result) == {'swd'}


@pytest.mark.parametrize('sides', [(64, 80), (67, 70), (35, 33)])
def test_pyramid(sides):
    """At the far end of an odd side OpenCV repeats the last pixel instead of mirroring."""
    picture = texture(0, *sides)
    levels, expected = laplacian_pyramid(picture, 3), pyramid_by_hand(picture, 3)
    for i, (level, by_hand) in enumerate(zip(levels, expected, strict=True)):
        height, width = level.shape[:2]
        if i < 2:
            height, width = height - height % 2, width - width % 2
        assert level.dtype == np.float32 and level.shape == by_hand.shape
        difference = (level - by_hand)[:height, :width]
        np.testing.assert_allclose(difference, 0, atol=1e-3)


def test_a_flat_picture_has_no_details_not_even_at_its_border():
    flat = np.full((65, 48, 3), 200, np.uint8)
    *details, last = laplacian_pyramid(flat, 4)
    assert max(np.abs(level).max() for level in details) < 1e-3
    np.testing.assert_allclose(last, 200, atol=1e-3)


def test_transport_in_one_dimension():
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(300, 4, generator=generator)
    second = torch.randn(300, 4, generator=generator) * 2 + 1
    directions = draw_directions(4, 30, generator)
    expected = [
        stats.wasserstein_distance((first @ d).numpy(), (second @ d).numpy()) for d in directions
    ]
    assert sliced_wasserstein(first, second, directions) == pytest.approx(np.mean(expected), 1e-5)
    assert sliced_wasserstein(first, first.flip(0), directions) == pytest.approx(0, abs=1e-6)


def test_transport_is_that_of_mmagic(host):
    """Up to its own directions, which are drawn from the global state."""
    first, second = torch.randn(2, 200, 147) * torch.tensor([1, 1.3]).view(2, 1, 1)
    directions = draw_directions(147, 4096, torch.Generator().manual_seed(0))
    ours, theirs = (
        sliced_wasserstein(first, second, directions),
        host.sliced_wasserstein(first, second, 32, 128),
    )
    assert ours == pytest.approx(theirs, rel=0.02)


def test_directions_are_unit_vectors_of_all_directions():
    directions = draw_directions(6, 20000, torch.Generator().manual_seed(0))
    assert torch.allclose(directions.norm(dim=1), torch.ones(20000))
    spread = directions.T @ directions / 20000
    assert torch.allclose(spread, torch.eye(6) / 6, atol=0.01)
    assert directions.mean(dim=0).abs().max() < 0.01


def test_patches():
    """Every position up to the border, none twice; three channels of 7 x 7 pixels."""
    level = np.arange(9 * 12 * 3, dtype=np.float32).reshape(9, 12, 3)
    patches = draw_patches(windows_of(level), 18, torch.Generator().manual_seed(0))
    assert patches.shape == (18, 147)
    expected = {
        tuple(np.moveaxis(level[y : y + 7, x : x + 7], 2, 0).ravel())
        for y in range(3)
        for x in range(6)
    }
    assert {tuple(patch) for patch in patches.numpy()} == expected
    few = draw_patches(windows_of(level), 5, torch.Generator().manual_seed(0))
    assert {tuple(patch) for patch in few.numpy()} < expected and len(few) == 5


def test_a_copy_with_all_patches():
    real = texture(0)
    assert set(scores(real, real, num_patches=ALL).values()) == {0}


def test_the_floor_falls_with_the_root_of_the_patches():
    real = texture(0, 128, 128)
    floors = [scores(real, real, num_patches=n, max_levels=1)['swd_1'] for n in (100, 1600)]
    assert 2.5 < floors[0] / floors[1] < 6 and floors[1] > 0


def test_what_a_texture_keeps():
    """Where things are does not count: moved, mirrored, or another piece of the same texture."""
    real = texture(0, 128, 128)
    other_look = scores(real, texture(1, 128, 128, grain=3), num_patches=2000)['swd_1']
    for same in (
        real,
        real[:, ::-1],
        np.roll(real, (50, 30), (0, 1)),
        texture(1, 128, 128),
        texture(2, 90, 200),
    ):
        assert scores(real, same, num_patches=2000)['swd_1'] < 0.2 * other_look


def test_a_wrong_colour_counts_and_rises_in_proportion():
    """By the last level alone, and by exactly what the shift of all projections is."""
    real = texture(0, contrast=25)
    options = dict(num_patches=ALL, num_directions=40, seed=1)
    directions = draw_directions(147, 40, torch.Generator().manual_seed(1)).numpy()
    last = laplacian_pyramid(real, 2)[1]
    for shift in (4, 12):
        result = scores(real, real + np.array([shift, 0, 0], np.uint8), **options)
        pushed = np.abs(directions[:, :49].sum(axis=1)).mean() * shift / last[..., 0].std()
        assert result['swd_1'] == pytest.approx(0, abs=0.1)
        assert result['swd_2'] == pytest.approx(1000 * pushed, rel=1e-3)
        assert result['swd'] == pytest.approx((result['swd_1'] + result['swd_2']) / 2)


def test_a_wrong_contrast_counts(host):
    """Each set by its own deviation, as MMagic's metric has it, would not see this."""
    real = texture(0)
    softer = ((real.astype(float) - 120) * 0.5 + 120).round().astype(np.uint8)
    result = scores(real, softer, num_patches=ALL)
    windows = [windows_of(x.astype(np.float32)) for x in (real, softer)]
    patches = [draw_patches(window, 8100, torch.Generator()) for window in windows]
    finalised = [host.finalize_descriptors(p.reshape(-1, 3, 7, 7)) for p in patches]
    assert 1000 * host.sliced_wasserstein(*finalised) < 20
    assert min(result.values()) > 200


def test_the_real_picture_is_the_measure():
    """Deviations are the real picture's: three times the contrast is farther than a third."""
    soft, hard = texture(0, contrast=12), texture(0, contrast=36)
    up, down = (scores(*p, num_patches=ALL)['swd_1'] for p in ((soft, hard), (hard, soft)))
    assert up == pytest.approx(3 * down, rel=0.1)


def test_a_lost_texture_counts_most_where_it_was():
    real = texture(0, 128, 128, grain=0.7)
    blurred = [cv2.GaussianBlur(real, (0, 0), sigma) for sigma in (0.5, 1, 2)]
    results = [scores(real, fake, num_patches=2000) for fake in (real, *blurred)]
    fine = [result['swd_1'] for result in results]
    assert fine == sorted(fine) and fine[1] > 3 * fine[0]
    assert all(result['swd_1'] > 2 * result['swd_4'] for result in results[1:])


def test_few_patches_of_a_small_translation():
    """As many of the real picture's as the translation has; 6 x 6 of a 12 x 12 picture."""
    result = scores(texture(0), texture(1, 12, 12))
    assert set(result) == {'swd_1', 'swd'} and np.isfinite(result['swd'])


def test_a_flat_real_picture():
    """Its channels vary by nothing; what rounding leaves is taken instead."""
    flat = np.full((40, 40, 3), 90, np.uint8)
    assert scores(flat, flat)['swd'] == 0
    directions = draw_directions(147, 64, torch.Generator().manual_seed(0)).sum(dim=1)
    expected = 1000 * directions.abs().mean().item() * 12**0.5
    assert scores(flat, flat + np.uint8(1))['swd'] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ('side', 'most', 'levels'),
    [(7, 5, 1), (62, 5, 1), (63, 5, 2), (64, 5, 2), (128, 2, 2), (966, 5, 5), (4096, 6, 6)],
)
def test_levels(side, most, levels):
    assert count_levels(side, most) == levels


def mixed():
    """Five samples, of one to three levels."""
    sides = (40, 130, 70, 70, 130)
    pairs = [(texture(i, s, s), texture(i + 9, s, s, 2)) for i, s in enumerate(sides)]
    return [sample(*pair, number=i) for i, pair in enumerate(pairs)]


def test_means_over_pictures_of_different_size():
    """A level's mean is over the pictures that have it; batches and order do not matter."""
    samples = mixed()
    options = dict(num_directions=32, num_patches=500)
    single = [evaluate([s], 'PatchDistance', **options) for s in samples]
    result = evaluate(samples, 'PatchDistance', **options)
    assert set(result) == {f'patch/{k}' for k in ('swd_1', 'swd_2', 'swd_4', 'swd')}
    for key, value in result.items():
        assert value == pytest.approx(np.mean([s[key] for s in single if key in s]))
    again = evaluate(samples[::-1], 'PatchDistance', 1, **options)
    assert again == pytest.approx(result)


def test_the_seed_alone_decides():
    pair = texture(0), texture(1, grain=2)
    torch.manual_seed(1)
    first = scores(*pair, num_patches=300)
    torch.manual_seed(2)
    np.random.seed(2)
    assert scores(*pair, num_patches=300) == first
    assert scores(*pair, num_patches=300, seed=1) != first


def test_the_state_of_the_process_is_left_alone():
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    scores(texture(0), texture(1))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all() and random.getstate() == states[2]


@pytest.mark.parametrize('name', ['max_levels', 'num_patches', 'num_directions'])
def test_counts_that_are_none(name):
    with pytest.raises(
        ValueError, match=f'PatchDistance: {name} must be a whole number, positive, got 0'
    ):
        PatchDistance(TARGET, **{name: 0})


def test_pictures_smaller_than_a_patch():
    with pytest.raises(ValueError, match='fake_flat has 6 x 40 pixels.* a patch of 7 x 7'):
        scores(texture(0), texture(1)[:6, :40])
    with pytest.raises(ValueError, match='img_flat has 96 x 6 pixels'):
        scores(texture(0)[:, :6], texture(1))
    assert np.isfinite(scores(texture(0), texture(1)[:7, :7])['swd'])
