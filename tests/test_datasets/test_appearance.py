"""Views change appearance within stated limits, and nothing else."""

import colorsys

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from PIL import Image
from torchvision.transforms.v2 import functional as F

from sesim_mmagic.datasets import AppearanceView, UnpairedFolderDataset
from sesim_mmagic.datasets.appearance import map_colours
from sesim_mmagic.utils.random import seeded_generators

OFF = dict(brightness=0, contrast=0, saturation=0, hue=0)
ALWAYS = dict(grayscale=1, blur=1, solarise=1, colour_map=1)
DRAWS = 200


def picture(seed=0, height=20, width=24):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def flat(blue, green, red):
    return np.full((4, 6, 3), (blue, green, red), np.uint8)


def views(source, number=DRAWS, **settings):
    transform = AppearanceView(['img_A'], **{**OFF, **settings})
    return [transform(dict(img_A=source))['img_A_aug'] for _ in range(number)]


@pytest.fixture(autouse=True)
def same_draws():
    """Frequencies and ranges of a fixed sequence of draws cannot fail by bad luck."""
    with seeded_generators(2021):
        yield


@pytest.mark.parametrize('settings', [{}, OFF, ALWAYS], ids=['jitter', 'off', 'all'])
def test_a_view_is_a_new_picture_like_the_old(settings):
    loaded = {'img_A': picture(0), 'img_B': picture(1, 8, 12)}
    before = {key: value.copy() for key, value in loaded.items()}
    results = AppearanceView(['img_A', 'img_B'], **settings)(dict(loaded))
    for key in loaded:
        view = results[f'{key}_aug']
        assert results[key] is loaded[key] and np.array_equal(loaded[key], before[key])
        assert view.shape == loaded[key].shape and view.dtype == np.uint8
        assert view.flags.c_contiguous and view.flags.writeable
        assert not np.shares_memory(view, loaded[key])
        assert np.array_equal(view, loaded[key]) == (settings == OFF)
        assert results[f'{key}_aug_channel_order'] == 'BGR'


def test_only_the_keys_get_views():
    results = AppearanceView(['img_B'])(dict(img_A=picture(), img_B=picture()))
    assert 'img_B_aug' in results and 'img_A_aug' not in results


def test_pictures_of_a_sample_get_draws_of_their_own():
    results = AppearanceView(['img_A', 'img_B'])(dict(img_A=picture(), img_B=picture()))
    assert not np.array_equal(results['img_A_aug'], results['img_B_aug'])


def test_a_picture_may_be_a_window_of_another():
    """Crops and flips leave views of arrays behind."""
    window = picture()[3:15, 17:2:-1]
    with seeded_generators(1):
        expected = views(window.copy(), 1, **ALWAYS)[0]
    with seeded_generators(1):
        assert np.array_equal(views(window, 1, **ALWAYS)[0], expected)


def test_geometry_stays():
    """Pixels that were alike are alike, in the same places; blur alone mixes neighbours."""
    regions = np.random.default_rng(0).integers(0, 4, (16, 18))
    colours = np.array([(20, 60, 200), (240, 180, 90), (90, 200, 30), (5, 5, 5)], np.uint8)
    settings = dict(brightness=0.5, contrast=0.5, saturation=0.5, hue=0.3)
    for view in views(
        colours[regions], 20, **settings, grayscale=0.3, solarise=0.5, colour_map=0.5
    ):
        for region in range(len(colours)):
            assert len(np.unique(view[regions == region], axis=0)) == 1


def test_brightness_scales_values():
    levels = [view[0, 0, 0] for view in views(flat(100, 100, 100), brightness=0.5)]
    assert 50 <= min(levels) < 55 and 145 < max(levels) <= 150


def test_a_strength_above_one_stops_at_black():
    levels = [view[0, 0, 0] for view in views(flat(50, 50, 50), brightness=3)]
    assert min(levels) < 10 and 190 < max(levels) <= 200


def test_contrast_scales_distances_from_the_mean():
    source = np.concatenate([flat(90, 90, 90), flat(110, 110, 110)])
    made = np.array(views(source, contrast=0.5)).astype(int)
    distances = made[:, -1, 0, 0] - made[:, 0, 0, 0]
    assert 9 <= distances.min() < 12 and 28 < distances.max() <= 31
    assert np.abs(made.mean((1, 2, 3)) - 100).max() < 1.5


def test_saturation_scales_distances_from_the_grey():
    made = np.array(views(flat(100, 100, 140), saturation=0.5)).astype(int)[:, 0, 0]
    distances = made[:, 2] - made[:, 0]
    assert 19 <= distances.min() < 22 and 58 < distances.max() <= 61
    grey = made @ (0.114, 0.587, 0.299)
    assert np.abs(grey - grey[0]).max() < 2


def test_hue_turns_the_circle_both_ways():
    made = np.array(views(flat(0, 0, 255), hue=0.3))[:, 0, 0]
    turns = np.array([colorsys.rgb_to_hsv(*pixel[::-1] / 255) for pixel in made])
    signed = (turns[:, 0] + 0.5) % 1 - 0.5
    assert -0.31 < signed.min() < -0.27 and 0.27 < signed.max() < 0.31
    assert np.all(turns[:, 1:] == 1)


def test_jitter_is_applied_in_random_order():
    """Red of saturation s is mixed with (1 - s) of its grey, 76; turned before, of another grey."""
    made = np.array(views(flat(0, 0, 255), saturation=1, hue=0.3))[:, 0, 0].astype(float)
    saturation = np.ptp(made, axis=1) / 255
    told = saturation < 0.8
    greys = made.min(1)[told] / (1 - saturation[told])
    saturated_first = np.abs(greys - 76) < 5
    assert told.sum() > 50
    assert 0.3 < saturated_first.mean() < 0.7


def test_grayscale_weighs_red_green_and_blue():
    """Red and blue would change places if the channels were taken for RGB."""
    greys = [views(flat(*bgr), 1, grayscale=1)[0] for bgr in np.eye(3, dtype=int) * 255]
    assert [tuple(grey[0, 0]) for grey in greys] == [(29,) * 3, (150,) * 3, (76,) * 3]


def test_solarise_inverts_bright_values():
    view = views(flat(127, 128, 250), 1, solarise=1)[0]
    assert tuple(view[0, 0]) == (127, 127, 5)


@pytest.mark.parametrize('sigma', [0.1, 0.5, 1, 2])
def test_blur_is_torchvision_s_within_a_level(sigma, monkeypatch):
    source = picture(0, 48, 40)
    monkeypatch.setattr('sesim_mmagic.datasets.appearance.BLUR_SIGMAS', (sigma, sigma))
    view = views(source, 1, blur=1)[0]
    expected = F.gaussian_blur(Image.fromarray(source), [17, 17], [sigma, sigma])
    assert np.abs(view.astype(int) - np.asarray(expected)).max() <= 1


def test_blur_takes_deviations_from_its_range():
    source = picture(0, 48, 40)
    deviations = [view.std() for view in views(source, blur=1)]
    weakest, strongest = (cv2.GaussianBlur(source, (0, 0), sigma).std() for sigma in (0.1, 2))
    assert strongest <= min(deviations) < 1.1 * strongest
    assert 0.9 * weakest < max(deviations) <= weakest


def test_colour_map_keeps_the_edges_of_a_channel():
    """Every curve runs from one end to the other, rising or falling, whatever was drawn."""
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    curves = np.array([map_colours(ramp)[0] for _ in range(60)]).astype(int)
    steps = np.diff(curves, axis=1)
    rising, falling = (steps >= 0).all(1), (steps <= 0).all(1)
    assert np.all(rising | falling)
    assert np.all(np.abs(curves[:, 0] - curves[:, -1]) == 255)
    assert 0.3 < rising.mean() < 0.7
    assert len({tuple(signs) for signs in rising}) == 8, 'channels are drawn on their own'
    assert np.abs(steps).max() < 8, 'curves are smooth'


def test_colour_map_puts_channels_in_any_order():
    """Of three channels only one varies; where it ends up is random."""
    source = np.zeros((4, 6, 3), np.uint8)
    source[:, :3, 0] = 255
    places = {int(np.ptp(map_colours(source), axis=(0, 1)).argmax()) for _ in range(30)}
    assert places == {0, 1, 2}


@pytest.mark.parametrize('name', list(ALWAYS))
def test_probabilities(name):
    source = picture(0, 48, 40)
    often = {
        p: np.mean([not np.array_equal(view, source) for view in views(source, **{name: p})])
        for p in (0, 0.25, 1)
    }
    assert often[0] == 0
    assert 0.15 < often[0.25] < 0.35
    assert often[1] > 0.8, 'the weakest blurs change nothing'


def test_draws_are_seeded_with_the_sample():
    """Whatever else happens in the process; and other samples have other views."""

    def drawn(*entropy):
        with seeded_generators(*entropy):
            return np.array(views(picture(), 10, hue=0.3, **dict.fromkeys(ALWAYS, 0.5)))

    first = drawn(7, 3)
    torch.rand(5), np.random.rand(5)
    assert np.array_equal(drawn(7, 3), first)
    assert not np.array_equal(drawn(7, 4), first)


@pytest.fixture
def folders(tmp_path):
    for number, folder in enumerate(('trainA', 'trainB')):
        (tmp_path / folder).mkdir()
        for i in range(3):
            Image.fromarray(picture(10 * number + i)).save(tmp_path / folder / f'{i}.png')
    return tmp_path


def dataset(root, with_views=True):
    steps = []
    for key in ('img_A', 'img_B'):
        steps += [
            dict(type='sesim_mmagic.LoadPicture', key=key),
            dict(type='Crop', keys=[key], crop_size=(8, 8), random_crop=True),
            dict(type='Flip', keys=[key], flip_ratio=0.5, direction='horizontal'),
        ]
    if with_views:
        steps.append(dict(type='sesim_mmagic.AppearanceView', keys=['img_A', 'img_B']))
    steps.append(dict(type='sesim_mmagic.PackDomains', A='sketch', B='photo'))
    with DefaultScope.overwrite_default_scope('mmagic'):
        built = UnpairedFolderDataset(str(root), steps)
    built.sample_seed = 5
    return built


def test_samples_have_reproducible_views(folders):
    first, again = dataset(folders), dataset(folders)
    sample, passing = first[1]['inputs'], first[4]['inputs']
    assert set(sample) == {'img_sketch', 'img_photo', 'img_sketch_aug', 'img_photo_aug'}
    again[2]
    for key, value in again[1]['inputs'].items():
        assert torch.equal(value, sample[key])
    assert not torch.equal(passing['img_sketch_aug'], sample['img_sketch_aug'])


def test_views_leave_the_crops_as_they_are(folders):
    viewed, plain = dataset(folders), dataset(folders, with_views=False)
    for index in range(6):
        expected, found = plain[index]['inputs'], viewed[index]['inputs']
        assert len(expected) == 2
        for key in expected:
            assert torch.equal(found[key], expected[key])


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(keys=[]), r'keys must be a list of at least one.*got \[\]; set keys='),
        (dict(keys='img_A'), "keys must be a list of at least one.*got 'img_A'; set keys="),
        (dict(brightness=-0.1), 'brightness is a strength.*0 or more, got -0.1; set brightness=0'),
        (dict(contrast=-1), 'contrast is a strength.*got -1;'),
        (dict(saturation=float('nan')), 'saturation is a strength.*got nan;'),
        (dict(saturation=float('inf')), 'saturation is a strength.*got inf;'),
        (dict(hue=0.6), 'hue is a strength.*from 0 to 0.5, got 0.6; set hue=0'),
        (dict(hue=(0, 0.1)), r'hue is a strength.*got \(0, 0.1\);'),
        (dict(grayscale=1.5), 'grayscale is a probability.*from 0 to 1, got 1.5;'),
        (dict(blur=-0.5), 'blur is a probability.*got -0.5;'),
        (dict(solarise='yes'), "solarise is a probability.*got 'yes';"),
        (dict(colour_map=2), 'colour_map is a probability.*got 2;'),
    ],
)
def test_wrong_arguments_are_named(settings, message):
    with pytest.raises(ValueError, match=f'^AppearanceView: {message}'):
        AppearanceView(**{'keys': ['img_A'], **settings})


@pytest.mark.parametrize(
    ('found', 'message'),
    [
        (picture().astype(np.float32), r'uint8, got float32 \(20, 24, 3\); place AppearanceView'),
        (picture()[..., 0], r'uint8, got uint8 \(20, 24\); place'),
        (picture()[None], r'uint8, got uint8 \(1, 20, 24, 3\); place'),
        (picture()[..., :1], r'uint8, got uint8 \(20, 24, 1\); place'),
        (torch.zeros(3, 4, 5, dtype=torch.uint8), 'got torch.uint8 .*3, 4, 5.*; place'),
        ([picture()], r'got list \(1, 20, 24, 3\); place'),
    ],
    ids=['float', 'grey', 'batch', 'single', 'tensor', 'list'],
)
def test_wrong_pictures_are_named(found, message):
    with pytest.raises(ValueError, match=f"^AppearanceView: 'img_A' must be.*{message}"):
        AppearanceView(['img_A'])(dict(img_A=found))


def test_rgb_is_refused():
    results = dict(img_A=picture(), img_A_channel_order='rgb')
    with pytest.raises(ValueError, match="'img_A' must be BGR, got rgb; load it with"):
        AppearanceView(['img_A'])(results)
    assert 'img_A_aug' in AppearanceView(['img_A'])({**results, 'img_A_channel_order': 'bgr'})


def test_a_missing_picture_is_named():
    with pytest.raises(KeyError, match=r"keys names 'img_B'.*there are \['img_A'.*; load it"):
        AppearanceView(['img_A', 'img_B'])(dict(img_A=picture()))
