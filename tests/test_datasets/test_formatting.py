"""Pictures become the named inputs of a model."""

import numpy as np
import pytest
import torch

from sesim_mmagic.datasets import PackDomains


def results(*keys):
    rng = np.random.default_rng(0)
    packed = {}
    for key in keys:
        packed[key] = rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)
        packed[f'{key}_path'] = f'data/{key}.png'
    return packed


def test_pictures_are_named_after_domains():
    loaded = results('img_A', 'img_B')
    packed = PackDomains(A='horse', B='zebra')(dict(loaded))
    assert set(packed['inputs']) == {'img_horse', 'img_zebra'}
    expected = torch.from_numpy(loaded['img_A']).permute(2, 0, 1)
    for image in (packed['inputs']['img_horse'], packed['data_samples'].img_horse):
        torch.testing.assert_close(image, expected)
    assert packed['data_samples'].metainfo['img_zebra_path'] == 'data/img_B.png'


def test_a_single_picture_keeps_its_name():
    packed = PackDomains(A='horse', B='zebra')(results('img_B'))
    assert set(packed['inputs']) == {'img_zebra'}


def test_views_are_packed_as_inputs_alone():
    loaded = results('img_A', 'img_B', 'img_B_aug')
    loaded['img_B_aug_channel_order'] = 'BGR'
    packed = PackDomains(A='horse', B='zebra')(dict(loaded))
    assert set(packed['inputs']) == {'img_horse', 'img_zebra', 'img_zebra_aug'}
    for key, name in (('img_B', 'img_zebra'), ('img_B_aug', 'img_zebra_aug')):
        expected = torch.from_numpy(loaded[key]).permute(2, 0, 1)
        torch.testing.assert_close(packed['inputs'][name], expected)
    data_sample = packed['data_samples']
    assert set(data_sample.keys()) == {'img_horse', 'img_zebra'}
    assert 'img_zebra_aug' not in data_sample.metainfo
    assert not any(isinstance(value, np.ndarray) for value in data_sample.metainfo.values())
    assert data_sample.metainfo['img_zebra_aug_channel_order'] == 'BGR', 'for the preprocessor'


def test_without_views_nothing_is_named_after_them():
    packed = PackDomains(A='horse', B='zebra')(results('img_A', 'img_B'))
    assert not any('aug' in key for key in [*packed['inputs'], *packed['data_samples'].metainfo])


def test_a_view_without_its_picture_is_left_out():
    packed = PackDomains(A='horse', B='zebra')(results('img_A', 'img_B_aug'))
    assert set(packed['inputs']) == {'img_horse'}


def test_two_domains_have_two_names():
    with pytest.raises(ValueError, match="two domains, got 'horse' twice"):
        PackDomains(A='horse', B='horse')
