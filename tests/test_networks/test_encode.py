"""Features of the generator's layers, for losses that look through it."""

import pytest
import torch

from sesim_mmagic.networks import ResNetBlurGenerator


def generator():
    torch.manual_seed(0)
    return ResNetBlurGenerator(base_channels=4, num_blocks=2)


def slow_features(network, images, layers):
    """Every layer as a network of its own."""
    return [network.model[: layer + 1](images.clone()) for layer in layers]


# 5 is an instance norm before a ReLU that works in place, 12 a residual block.
@pytest.mark.parametrize('layers', [(0, 4, 8, 12, 13), (2, 5), (13,), (24,)])
def test_features(layers):
    network, images = generator(), torch.rand(2, 3, 16, 24)
    expected = slow_features(network, images, layers)
    found = network.encode(images, layers)
    assert [f.shape[1] for f in found] == list(network.feature_channels(layers))
    if 2 in layers:  # what comes out of the norm, not what the activation leaves of it
        assert (found[0] < 0).any()
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours, theirs)


def test_features_beside_the_translation():
    network, images = generator(), torch.rand(2, 3, 16, 24)
    translated, features = network(images, layers=(0, 8))
    assert torch.equal(translated, network(images))
    for ours, theirs in zip(features, network.encode(images, (0, 8)), strict=True):
        assert torch.equal(ours, theirs)


def test_encoding_stops_at_the_last_layer():
    network = generator()
    network.model[14].register_forward_hook(lambda *_: pytest.fail('computed for nothing'))
    network.encode(torch.rand(1, 3, 16, 16), (0, 13))


def test_channels():
    assert ResNetBlurGenerator().feature_channels((0, 4, 8, 12, 16)) == (3, 128, 256, 256, 256)
    for layers in ((4, 0), (0, 0), (0, 99), (-1,)):
        with pytest.raises(ValueError, match='must be ascending numbers from 0 to'):
            generator().feature_channels(layers)
