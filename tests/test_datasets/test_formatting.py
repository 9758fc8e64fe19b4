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


def test_two_domains_have_two_names():
    with pytest.raises(ValueError, match="two domains, got 'horse' twice"):
        PackDomains(A='horse', B='horse')
