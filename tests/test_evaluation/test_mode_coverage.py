"""Modes of the synthetic shapes that translations are in."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from sesim_mmagic.datasets.shape_modes import MODES, mode_colours, render_mode
from sesim_mmagic.datasets.shape_scenes import (
    LAYOUTS,
    PALETTE,
    draw_labels,
    render_scene,
    sample_scene,
)
from sesim_mmagic.evaluation import ModeCoverage
from sesim_mmagic.evaluation.mode_coverage import nearest_modes, segment_by_mode
from tests.test_evaluation.samples import SOURCE, TARGET, evaluate, sample, tensor

COUNT = len(MODES)


def scene(number, layout='mismatch'):
    return draw_labels(sample_scene(LAYOUTS[layout]['B'], np.random.default_rng([5, number])))


SCENES = [scene(i, layout) for layout in LAYOUTS for i in range(6)]


def truths(labels, modes=range(COUNT)):
    return np.stack([render_mode(labels, mode) for mode in modes])


def translated(labels, pictures, number=0):
    """A flat source and its translations."""
    fake = torch.stack([tensor(picture) for picture in pictures])
    return sample(fake=fake, number=number, source=PALETTE[labels])


def coverage(samples, modes=COUNT, batch=3):
    result = evaluate(samples, 'ModeCoverage', batch, source_domain=SOURCE, modes=modes)
    return {key.removeprefix('modes/'): value for key, value in result.items()}


def shares(result):
    return [value for key, value in result.items() if key.startswith('share_')]


def several(*modes):
    """Every source in the same modes."""
    return [translated(labels, truths(labels, modes), i) for i, labels in enumerate(SCENES[:4])]


@pytest.mark.parametrize('modes', [2, 3, COUNT])
def test_the_truth_in_every_mode(modes):
    result = coverage(several(*range(modes)), modes)
    exact = dict(covered=modes, entropy=1, kl=0, modes_per_source=modes, boundary_f1=1)
    exact |= dict(distance=0, distance_colour=0, distance_texture=0, foreground_iou=1)
    exact |= {f'share_{mode}': 1 / modes for mode in range(modes)}
    assert result == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize('mode', range(COUNT))
def test_always_one_mode(mode):
    result = coverage(several(mode, mode, mode))
    assert shares(result) == [float(i == mode) for i in range(COUNT)]
    assert (result['covered'], result['entropy'], result['modes_per_source']) == (1, 0, 1)
    assert result['kl'] == pytest.approx(np.log(COUNT))
    assert result['distance'] == 0


def test_shares_by_hand():
    """Of 16 translations 1, the least that counts of 4 modes, and 9, 6 and 0."""
    drawn = [0] * 9 + [1] * 6 + [2]
    result = coverage([translated(SCENES[0], truths(SCENES[0], drawn))], modes=4)
    assert shares(result) == [9 / 16, 6 / 16, 1 / 16, 0]
    assert result['covered'] == 3
    p = np.array([9, 6, 1]) / 16
    assert result['entropy'] == pytest.approx(-(p * np.log2(p)).sum() / 2)
    assert result['kl'] == pytest.approx((p * np.log(4 * p)).sum())
    one_more = [translated(SCENES[0], truths(SCENES[0], [*drawn, 0]))]
    assert coverage(one_more, modes=4)['covered'] == 2  # 1 of 17 is too few


def test_a_source_that_decides_alone():
    """All modes are there, but each source has one: no diversity to choose from."""
    samples = [
        translated(labels, truths(labels, [i % 3] * 4), i) for i, labels in enumerate(SCENES)
    ]
    result = coverage(samples, modes=3)
    assert result['covered'] == 3 and result['entropy'] == pytest.approx(1)
    assert result['modes_per_source'] == 1


def test_single_translations():
    single = [
        sample(fake=render_mode(labels, i % 2), number=i, source=PALETTE[labels])
        for i, labels in enumerate(SCENES[:4])
    ]
    lists = [translated(x, truths(x, [i % 2]), i) for i, x in enumerate(SCENES[:4])]
    assert coverage(single) == coverage(lists)
    assert shares(coverage(single))[:2] == [0.5, 0.5]


def noisy(pictures, labels):
    noise = np.random.default_rng(0).normal(0, 25, pictures.shape)
    return np.clip(pictures + noise, 0, 255).astype(np.uint8)


def blurred(pictures, labels):
    return gaussian_filter(pictures, (0, 1, 1, 0))


def shifted(pictures, labels):
    return np.roll(pictures, (2, 2), (1, 2))


def without_texture(pictures, labels):
    return np.stack([np.array(mode.palette, np.uint8)[labels] for mode in MODES])


def other_classes(pictures, labels):
    return truths(np.array([0, 2, 3, 1])[labels])


@pytest.mark.parametrize(
    ('spoilt', 'most'),
    [
        (noisy, 0.17),
        (blurred, 0.15),
        (shifted, 0.25),
        (without_texture, 0.23),
        (other_classes, None),
    ],
)
def test_spoilt_pictures_are_near_their_mode(spoilt, most):
    if most is None:  # a mode differs in its classes' colours as well
        scenes = [labels for labels in SCENES if (labels > 0).mean() < 0.2]
    else:
        scenes = SCENES
    assert len(scenes) >= 5
    for labels in scenes:
        modes, distances = nearest_modes(spoilt(truths(labels), labels), labels, COUNT)
        assert modes.tolist() == list(range(COUNT))
        lengths = np.linalg.norm(distances, axis=1)
        assert lengths.max() > 0.01 and (most is None or lengths.max() < most)


def test_without_texture_the_colour_is_right():
    for labels in SCENES:
        _, distances = nearest_modes(without_texture(None, labels), labels, COUNT)
        assert distances[0].tolist() == [0, 0]  # the first mode has none
        assert distances[1:, 0].max() < 0.08  # of dots and grids less than half is bright
        assert distances[1:, 1].min() > 0.15


def test_another_texture_in_the_right_colours(monkeypatch):
    """A mode is colour and texture: what has the texture of none is nearest to a plain mode."""
    plain = MODES[1].__class__('plain', MODES[1].palette)
    from sesim_mmagic.datasets import shape_modes

    monkeypatch.setattr(shape_modes, 'MODES', (plain, *MODES[1:]))
    labels = SCENES[0]
    pictures = np.stack([np.array(plain.palette, np.uint8)[labels], render_mode(labels, 1)])
    modes, distances = nearest_modes(pictures, labels, 2)
    assert modes.tolist() == [0, 1] and distances.max() == 0


def test_what_is_no_mode_is_far_from_all():
    rng = np.random.default_rng(0)
    for labels in SCENES:
        shape = (*labels.shape, 3)
        pictures = [
            np.full(shape, 128, np.uint8),
            np.zeros(shape, np.uint8),
            rng.integers(0, 256, shape).astype(np.uint8),
            render_scene(labels, 'A'),
        ]
        lengths = np.linalg.norm(nearest_modes(np.stack(pictures), labels, COUNT)[1], axis=1)
        assert lengths.min() > 0.35
        assert lengths[3] > 0.9


def test_modes_are_far_apart():
    for labels in SCENES:
        for mode in range(1, COUNT):
            _, distances = nearest_modes(truths(labels, range(mode, COUNT)), labels, mode)
            assert np.linalg.norm(distances, axis=1).min() > 0.2


def test_distance_by_hand():
    """A ground of the first mode, a quarter of the picture a square, both off by some levels."""
    labels = np.zeros((16, 16), int)
    labels[:8, :8] = 2
    picture = render_mode(labels, 0).astype(int)
    picture[labels == 0] += (3, 4, 0)
    picture[labels == 2, 0] += 12
    picture[0:7, 0:7][::2] += 4  # stripes inside the square: mean and luminance change
    modes, distances = nearest_modes(picture[None].astype(np.uint8), labels, 2)
    # Without margins: 16 x 16 less 9 x 9 of the ground, 7 x 7 of the square, 4 of 7 rows brighter.
    areas = np.array([256 - 81, 49])
    mean = 4 * 4 / 7
    colour = np.array([3**2 + 4**2, (12 + mean) ** 2 + 2 * mean**2])
    steps = 4**2 * np.array([12 / 49, 1, 0])  # variance of 4 of 7; every step down; none right
    texture = np.array([0, steps.sum()])
    expected = np.sqrt([(areas * x).sum() / areas.sum() for x in (colour, texture)]) / 255
    assert modes.tolist() == [0]
    np.testing.assert_allclose(distances[0], expected, rtol=1e-6)


def test_a_class_of_few_pixels():
    labels = np.zeros((20, 20), int)
    labels[3, 4] = 1
    modes, distances = nearest_modes(truths(labels), labels, COUNT)
    assert modes.tolist() == list(range(COUNT)) and distances.max() == 0
    # A brighter ground is no texture of the pixel that lies in it.
    brighter = truths(labels, [0]) + 10 * (labels == 0)[..., None].astype(np.uint8)
    _, distances = nearest_modes(brighter, labels, COUNT)
    ground = 400 - 9  # and 1 of the class
    expected = [np.sqrt(ground / (ground + 1) * 3 * 10**2) / 255, 0]
    np.testing.assert_allclose(distances[0], expected, atol=1e-7)


@pytest.mark.parametrize('mode', range(COUNT))
def test_pixels_are_classed_by_the_colours_of_the_mode(mode):
    for labels in SCENES[::4]:
        np.testing.assert_array_equal(segment_by_mode(render_mode(labels, mode), mode), labels)
    middle = mode_colours(mode).mean(axis=1)[[[0, 1, 2, 3]]].astype(np.uint8)
    assert segment_by_mode(middle, mode).tolist() == [[0, 1, 2, 3]]


def test_pixels_without_texture_are_classed_too():
    """With dark and bright colours alone, without those in between, 8% of pixels would be wrong."""
    labels = np.random.default_rng(0).integers(0, 4, (64, 64))
    for mode in (1, 4):
        picture = without_texture(None, labels)[mode, None]
        wrong = segment_by_mode(noisy(picture, labels)[0], mode) != labels
        assert wrong.mean() < 0.06


def test_structure_is_that_of_the_nearest_mode():
    """Two translations of a source: one right, one of bare ground."""
    labels = SCENES[0]
    pictures = [render_mode(labels, 1), render_mode(0 * labels, 2)]
    result = coverage([translated(labels, pictures)])
    assert shares(result)[1:3] == [0.5, 0.5]
    assert result['foreground_iou'] == pytest.approx(0.5)
    assert result['boundary_f1'] == pytest.approx(0.5)


def test_mean_distance():
    labels = SCENES[0]
    grey = np.full_like(render_mode(labels, 0), 128)
    pictures = np.stack([render_mode(labels, 0), grey, without_texture(None, labels)[1]])
    _, distances = nearest_modes(pictures, labels, COUNT)
    result = coverage([translated(labels, pictures)])
    assert result['distance'] == pytest.approx(np.hypot(*distances.T).mean())
    assert result['distance_colour'] == pytest.approx(distances[:, 0].mean())
    assert result['distance_texture'] == pytest.approx(distances[:, 1].mean())


@pytest.mark.parametrize('modes', [1, 0, COUNT + 1, 2.5])
def test_a_wrong_number_of_modes(modes):
    with pytest.raises(ValueError, match=rf'modes must be an integer from 2 to 6.* got {modes}'):
        ModeCoverage(TARGET, SOURCE, modes=modes)


def test_a_source_that_is_not_flat():
    rng = np.random.default_rng(0)
    textured = sample(fake=render_mode(SCENES[0], 0), source=render_scene(SCENES[0], 'B', rng))
    with pytest.raises(ValueError, match=r'img_textured .*testB/000.png.* is no flat picture'):
        coverage([textured])


def test_a_translation_of_another_size():
    small = translated(SCENES[0], truths(SCENES[0])[:, :32])
    with pytest.raises(ValueError, match=r'64 x 64 pixels have the shape \(6, 32, 64, 3\)'):
        coverage([small])
