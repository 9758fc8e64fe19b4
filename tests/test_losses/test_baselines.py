"""Pixel and perceptual loss: content losses that structure losses are measured against."""

import pytest

from sesim_mmagic.losses import PerceptualLoss, PixelLoss
from tests.tiny import TINY_VGG, pictures

LAYERS = ('relu2_2', 'relu3_1')


def test_pixel_loss_is_the_mean_difference():
    source, translated = pictures(0), pictures(1)
    expected = 3.0 * (source - translated).abs().sum() / source.numel()
    assert PixelLoss(loss_weight=3.0)(source, translated).item() == pytest.approx(expected.item())
    assert PixelLoss()(source, source).item() == 0


def test_perceptual_loss_is_the_mean_difference_of_features():
    loss = PerceptualLoss(LAYERS, loss_weight=3.0, feature_net=TINY_VGG)
    source, translated = pictures(0), pictures(1)
    features = [loss.feature_net(images) for images in (source, translated)]
    expected = sum((features[0][n] - features[1][n]).abs().mean() for n in LAYERS) * 3.0 / 2
    assert loss(source, translated).item() == pytest.approx(expected.item(), rel=1e-6)
    assert loss.channel_order == 'bgr'
    assert not list(loss.parameters()) and not loss.state_dict()


def test_domain_invariant_loss_sees_neither_mean_nor_deviation_of_a_channel():
    loss = PerceptualLoss(LAYERS, loss_weight=2.0, feature_net=TINY_VGG, domain_invariant=True)
    features = [[m.double() for m in loss.extract(pictures(seed))] for seed in range(2)]
    restyled = [3 * maps + 5 for maps in features[1]]
    assert loss.compare(features[1], restyled).item() == pytest.approx(0, abs=1e-5)
    expected = []
    for source, translated in zip(*features, strict=True):
        normed = [
            (m - m.mean((2, 3), keepdim=True)) / (m.var((2, 3), False, keepdim=True) + 1e-5).sqrt()
            for m in (source, translated)
        ]
        expected.append((normed[0] - normed[1]).square().mean())
    value = loss.compare(*features).item()
    assert value == pytest.approx(2.0 * sum(expected).item() / 2)
