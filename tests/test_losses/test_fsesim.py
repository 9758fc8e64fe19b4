import copy

import pytest
import torch

from sesim_mmagic.functional import sample_positions
from sesim_mmagic.losses import FSeSimLoss
from sesim_mmagic.registry import MODELS
from tests.test_functional.looped_reference import looped_self_similarity, looped_spatial_distance
from tests.tiny import TINY_VGG, pictures


def tiny_loss(**kwargs):
    settings = dict(
        layers=('relu2_2', 'relu3_1'), num_patches=12, patch_size=4, feature_net=TINY_VGG
    )
    return FSeSimLoss(**{**settings, **kwargs})


@pytest.mark.parametrize('distance', ['cos', 'l1'])
@pytest.mark.parametrize('normalize', [True, False])
def test_agrees_with_looped_reference(distance, normalize):
    loss = tiny_loss(distance=distance, normalize=normalize, loss_weight=3.0).double()
    source, translated = pictures(0, dtype=torch.float64), pictures(1, dtype=torch.float64)
    torch.manual_seed(5)
    value = loss(source, translated)
    torch.manual_seed(5)
    expected = 0
    features = [loss.feature_net(images) for images in (source, translated)]
    for layer in loss.feature_net.layers:
        height, width = features[0][layer].shape[2:]
        positions = sample_positions(height, width, 12)
        maps = [looped_self_similarity(f[layer], positions, 4, normalize) for f in features]
        expected += 3.0 * looped_spatial_distance(*maps, distance, normalize) / 2
    assert value.item() == pytest.approx(expected.item(), rel=1e-9)


def test_builds_in_an_mmagic_config():
    import mmagic.registry

    config = dict(type='sesim_mmagic.FSeSimLoss', feature_net=TINY_VGG)
    assert isinstance(mmagic.registry.MODELS.build(copy.deepcopy(config)), FSeSimLoss)
    loss = MODELS.build(config)
    assert loss.loss_weight == 10.0
    assert loss.feature_net.layers == ('relu3_1', 'relu4_1', 'relu4_3')


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(layers=('relu9_1',)), "layers must be among .* got .'relu9_1'"),
        (dict(distance='l2'), "distance must be one of .* got 'l2'"),
        (dict(num_patches=0), 'num_patches must be a whole number, positive or -1'),
        (dict(num_patches=-3), 'num_patches must be a whole number, positive or -1'),
        (dict(patch_size=1), 'patch_size must be a whole number, 2 or more'),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        tiny_loss(**arguments)
