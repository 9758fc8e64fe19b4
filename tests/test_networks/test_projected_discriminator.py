import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sesim_mmagic.networks import ProjectedDiscriminator
from tests.tiny import TINY_VGG, pictures

LAYERS = ('relu1_2', 'relu2_2', 'relu3_1')


def projected(layers=LAYERS, **kwargs):
    torch.manual_seed(0)
    return ProjectedDiscriminator({**TINY_VGG, 'layers': layers}, **{'channels': 16, **kwargs})


def test_scores_of_every_layer():
    scores = projected()(pictures(height=24, width=40))
    assert [tuple(score.shape) for score in scores] == [
        (2, 1, 24, 40), (2, 1, 12, 20), (2, 1, 6, 10),
    ]  # fmt: skip
    sides = [score.shape[2:] for score in projected(min_side=48)(pictures(height=24, width=40))]
    assert sides[0] == (48, 80) and sides[2] == (12, 20)
    assert projected(min_side=16)(pictures())[0].shape[2:] == (24, 40)


def test_mixing_like_the_loops_reference():
    """Each position of each channel by itself, from coarse to fine."""
    network = projected(('relu1_2', 'relu2_2'), channels=4).double()
    images = pictures(batch=1, height=8, width=8, dtype=torch.float64)
    fine, coarse = network.feature_net(images).values()

    def channels_mixed(maps, convolution):
        weight = convolution.weight[:, :, 0, 0]
        result = maps.new_zeros(len(weight), *maps.shape[1:])
        for y in range(maps.shape[1]):
            for x in range(maps.shape[2]):
                for o, row in enumerate(weight):
                    result[o, y, x] = sum(
                        w * value for w, value in zip(row, maps[:, y, x], strict=True)
                    )
        return result

    above = channels_mixed(coarse[0], network.projections[1])
    descended = channels_mixed(above, network.descents[0])
    enlarged = F.interpolate(descended[None], (8, 8), mode='bilinear')[0]
    below = (channels_mixed(fine[0], network.projections[0]) + enlarged) / 2**0.5
    found = network.mixed_features(images)
    torch.testing.assert_close(found[0][0], below)
    torch.testing.assert_close(found[1][0], above)


def test_heads_see_a_root_mean_square_of_about_one():
    """Where the feature network's maps have it, as rectified ones of a deviation have."""
    network = projected(channels=48)
    widths, sides = network.feature_net.out_channels.items(), (16, 8, 4)
    maps = {
        name: F.relu(torch.randn(4, width, side, side)) * 2**0.5
        for (name, width), side in zip(widths, sides, strict=True)
    }
    network.feature_net.forward = lambda images: maps
    for seen in network.mixed_features(pictures()):
        assert 0.75 < seen.square().mean().sqrt() < 1.25


def test_gradients_reach_the_pictures_and_are_right():
    network = projected(('relu1_2', 'relu2_2'), channels=4).double().eval()
    images = pictures(batch=1, height=4, width=4, dtype=torch.float64).requires_grad_()
    torch.autograd.gradcheck(lambda images: tuple(network(images)), images, fast_mode=True)


def test_heads_alone_train_whatever_is_asked_for():
    network = projected()
    network.init_weights()
    fixed = copy.deepcopy([m.weight for m in [*network.projections, *network.descents]])
    network.requires_grad_(False).requires_grad_(True).train()
    names = {name.partition('.')[0] for name, _ in network.named_parameters()}
    assert names == {'heads'}
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    sum(score.sum() for score in network(pictures())).backward()
    optimizer.step()
    now = [m.weight for m in [*network.projections, *network.descents]]
    assert all(torch.equal(*pair) for pair in zip(now, fixed, strict=True))
    assert {name.partition('.')[0] for name in network.state_dict()} == {'heads'}


def test_spectral_norm_of_the_heads():
    for layer in projected(channels=4).heads.modules():
        if isinstance(layer, nn.Conv2d):
            for _ in range(20):
                weight = layer.weight.detach()
            norm = torch.linalg.matrix_norm(weight.flatten(1), 2)
            assert norm.item() == pytest.approx(1, rel=0.05)


def test_the_mixing_follows_from_the_seed_alone():
    def mixing(seed, draws):
        torch.manual_seed(draws)
        return ProjectedDiscriminator(dict(TINY_VGG, layers=LAYERS), 4, seed=seed).projections[1]

    assert torch.equal(mixing(3, 0).weight, mixing(3, 1).weight)
    assert not torch.equal(mixing(3, 0).weight, mixing(4, 0).weight)


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(layers=()), 'feature_net must be the config .* with layers, which are the scales'),
        (dict(layers=('relu9_1',)), 'layers must be among'),
        (dict(layers=('relu2_2', 'relu1_2')), r'from fine to coarse, .* strides of \[2, 1\]'),
        (dict(channels=0), 'channels must be a whole number, positive, got 0'),
        (dict(min_side=-1), 'min_side must be a whole number, 0 or more'),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        projected(**settings)


def test_pictures_that_are_too_small():
    with pytest.raises(ValueError, match='at least 4 for relu3_1'):
        projected()(pictures(height=3))
