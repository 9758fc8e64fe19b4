"""StyleGAN2's encoder-decoder and discriminator beside golden values and a slow reference."""

import json
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from sesim_mmagic.networks import StyleGAN2Discriminator, StyleGAN2Generator
from sesim_mmagic.networks.equalized_layers import EqualizedConv, ResidualBlock, UpsampleConv
from tests.golden import field, smooth

OFFICIAL = Path(__file__).parents[3] / 'shared/reference/official_state_dicts.json'


def fill(network):
    for i, (name, parameter) in enumerate(network.state_dict().items()):
        parameter.copy_(field(tuple(parameter.shape), 10 + i))
        if name.endswith('noise_weight'):
            parameter.zero_()
    return network.eval()


@pytest.fixture(scope='module')
def images():
    return 3 * smooth(field((1, 3, 128, 128), 6))


@torch.no_grad()
def test_golden_translation(images):
    output = fill(StyleGAN2Generator())(images)
    assert output.shape == (1, 3, 128, 128)
    assert output.mean().item() == pytest.approx(0.3573152, abs=2e-6)
    assert output.std().item() == pytest.approx(0.4396054, rel=1e-5)
    first, last = (0.329669, 0.334988, 0.28884), (0.668766, 0.65903, 0.725945)
    assert output.flatten()[:3].tolist() == pytest.approx(first, abs=1e-5)
    assert output.flatten()[-3:].tolist() == pytest.approx(last, abs=1e-5)


@torch.no_grad()
def test_golden_score(images):
    score = fill(StyleGAN2Discriminator())(images)
    assert score.shape == (1, 1)
    assert score.item() == pytest.approx(0.463159, abs=2e-6)


@pytest.mark.skipif(not OFFICIAL.is_file(), reason='the list of the published tensors is not here')
@pytest.mark.parametrize(
    'network, file', [(StyleGAN2Generator(), 'latest_net_G'), (StyleGAN2Discriminator(), 'net_D')]
)
def test_tensors_are_those_of_the_authors_in_their_order(network, file):
    listed = json.loads(OFFICIAL.read_text())
    (official,) = (v for k, v in listed.items() if 'single_image' in k and file in k)
    theirs = {k: shape for k, shape in official.items() if not k.endswith('kernel')}
    ours = network.state_dict()
    assert [p.numel() for p in ours.values()] == [math.prod(shape) for shape in theirs.values()]
    kinds = [name.rsplit('.', 1)[1].rsplit('_', 1)[-1] for name in ours]
    assert kinds == [name.rsplit('.', 1)[1] for name in theirs]


def slow_blur(features, padding, up=1):
    """Every position as a sum over its neighbours, channel by channel."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=features.dtype) / 8
    padded = F.pad(features, (padding,) * 4)
    height, width = padded.shape[2] - 3, padded.shape[3] - 3
    return up**2 * sum(
        taps[i] * taps[j] * padded[:, :, i : i + height, j : j + width]
        for i in range(4)
        for j in range(4)
    )


def slow_conv(features, layer, halve, padding):
    """Blur, convolution of scaled weights, every second position, bias, activation times gain."""
    weight = layer.weight / math.sqrt(layer.weight[0].numel())
    if halve:
        features = slow_blur(features, padding)
    out = F.conv2d(features, weight, padding=0 if halve else weight.shape[-1] // 2)
    out = out[:, :, ::2, ::2] if halve else out
    if layer.bias is None:
        return out
    return math.sqrt(2) * F.leaky_relu(out + layer.bias[:, None, None], 0.2)


def randomised(layer):
    torch.manual_seed(0)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    return layer.double().eval()


@pytest.mark.parametrize('halve', [False, True])
@pytest.mark.parametrize('shape', [(2, 3, 8, 12), (1, 3, 6, 6)])
def test_residual_block_agrees_with_slow_reference(halve, shape):
    block = randomised(ResidualBlock(3, 5, halve))
    features = torch.randn(shape, dtype=torch.float64)
    out = slow_conv(slow_conv(features, block.conv1, False, 0), block.conv2, halve, 2)
    skip = slow_conv(features, block.skip, halve, 1)
    assert torch.allclose(block(features), (out + skip) / math.sqrt(2))
    same = randomised(ResidualBlock(3, 3))
    out = slow_conv(slow_conv(features, same.conv1, False, 0), same.conv2, False, 0)
    assert torch.allclose(same(features), (out + features) / math.sqrt(2))


def test_upsampling_agrees_with_slow_reference():
    layer = randomised(UpsampleConv(3, 5, noise=False))
    features = torch.randn(2, 3, 4, 6, dtype=torch.float64)
    weight = layer.weight / math.sqrt(27)
    weight = weight / (weight**2).sum((1, 2, 3), keepdim=True).add(1e-8).sqrt()
    empty = torch.zeros(2, 3, 11, 15, dtype=torch.float64)
    empty[:, :, 2:-2:2, 2:-2:2] = features
    out = slow_blur(F.conv2d(empty, weight.flip(2, 3)), 1, up=2)
    expected = math.sqrt(2) * F.leaky_relu(out + layer.bias[:, None, None], 0.2)
    assert expected.shape == (2, 5, 8, 12)
    assert torch.allclose(layer(features), expected)


def test_noise_changes_in_training_and_not_at_test_time():
    layer = UpsampleConv(3, 5)
    layer.noise_weight.data.fill_(0.5)
    features = torch.randn(2, 3, 4, 6)
    assert not torch.equal(layer(features), layer(features))
    layer.eval()
    state = torch.get_rng_state()
    assert torch.equal(layer(features), layer(features))
    assert torch.equal(torch.get_rng_state(), state)
    layer.noise_weight.data.zero_()
    without = layer(features)
    assert torch.equal(without, layer.train()(features))


def test_noise_has_its_weight_and_the_gain_of_the_activation():
    layer = UpsampleConv(3, 1).train()
    torch.nn.init.zeros_(layer.weight)
    layer.noise_weight.data.fill_(0.5)
    out = layer(torch.zeros(1, 3, 64, 64))
    assert out[out > 0].square().mean().sqrt().item() == pytest.approx(0.5 * 2**0.5, rel=0.05)


def test_discriminator_can_be_differentiated_twice():
    torch.manual_seed(0)
    network = StyleGAN2Discriminator(size=16, base_channels=2).double()
    images = torch.randn(2, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(network, images, fast_mode=True)
    weights = tuple(network.parameters())[:4]

    def penalty(images, *_):
        (gradient,) = torch.autograd.grad(network(images).sum(), images, create_graph=True)
        return gradient.flatten(1).norm(dim=1)

    assert torch.autograd.gradcheck(penalty, (images, *weights), fast_mode=True)


@pytest.mark.parametrize('height, width', [(32, 32), (16, 44)])
def test_generator_keeps_the_size_and_differentiates(height, width):
    torch.manual_seed(0)
    network = StyleGAN2Generator(base_channels=2, num_blocks=2, noise=False).double()
    images = torch.rand(2, 3, height, width, dtype=torch.float64, requires_grad=True)
    output = network(images)
    assert output.shape == images.shape and output.abs().max() <= 1
    (gradient,) = torch.autograd.grad(output[0, 0, 5, 7], images)
    step = torch.zeros_like(images)
    step[0, 1, 6, 6] = 1e-6
    difference = (network(images + step) - network(images - step))[0, 0, 5, 7] / 2e-6
    assert difference.item() == pytest.approx(gradient[0, 1, 6, 6].item(), rel=1e-5)


def test_a_crop_is_translated_as_in_the_whole_picture():
    """Nothing is normalized over positions: what is far away does not matter."""
    torch.manual_seed(0)
    network = StyleGAN2Generator(base_channels=4, noise=False).eval()
    images = torch.rand(1, 3, 256, 256)
    with torch.no_grad():
        whole, crop = network(images), network(images[..., 32:224, 32:224])
    middle = slice(80, 112)
    assert torch.allclose(whole[..., 112:144, 112:144], crop[..., middle, middle], atol=1e-5)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision(dtype):
    torch.manual_seed(0)
    network, images = StyleGAN2Generator(base_channels=8), torch.rand(1, 3, 32, 32) * 2 - 1
    network.eval()
    expected = network(images)
    with torch.autocast('cpu', dtype):
        mixed = network(images)
    assert mixed.dtype == dtype
    halved = network.to(dtype)(images.to(dtype))
    for found in (mixed, halved):
        assert (found.float() - expected).abs().mean() < 0.02


def test_variance_is_kept():
    """The purpose of gains and equalised weights, whatever the width."""
    torch.manual_seed(0)
    features = torch.randn(8, 32, 32, 32)
    for layer in (EqualizedConv(32, 64, 3), ResidualBlock(32, 64)):
        assert 0.5 < layer(features).square().mean() < 1.6


# 0 is the image, 2 and 3 halve, 4 is the first block that does not.
@pytest.mark.parametrize('layers', [(0, 1, 3, 4), (2,), (5,)])
def test_features(layers):
    network = StyleGAN2Generator(base_channels=4, num_blocks=4).eval()
    images = torch.rand(2, 3, 16, 24)
    expected = [network.encoder[: layer + 1](images.clone()) for layer in layers]
    network.encoder[layers[-1] + 1 :].register_forward_hook(lambda *_: pytest.fail('for nothing'))
    found = network.encode(images, layers)
    assert [f.shape[1] for f in found] == list(network.feature_channels(layers))
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours, theirs)
    translated, beside = network(images, layers=layers)
    assert torch.equal(translated, network(images))
    assert all(torch.equal(a, b) for a, b in zip(beside, found, strict=True))


def test_widths_of_the_authors():
    assert StyleGAN2Generator().feature_channels((0, 1, 2, 3, 4, 6)) == (3, 32, 64, 128, 128, 128)
    # SinCUT: ngf=10 at 64 pixels, one down sampling.
    sincut = StyleGAN2Generator(base_channels=80, num_downsamplings=1)
    assert sincut.feature_channels((0, 2, 4)) == (3, 160, 160)
    wide = StyleGAN2Generator(base_channels=300, num_blocks=0)
    assert wide.feature_channels((1, 2, 3)) == (300, 512, 512)


def test_bad_arguments():
    with pytest.raises(ValueError, match='base_channels must be a whole number, positive, got'):
        StyleGAN2Generator(base_channels=0)
    with pytest.raises(ValueError, match='ascending numbers from 0 to 6, got'):
        StyleGAN2Generator().feature_channels((4, 2))
    for size, last in ((4, 8), (100, 8), (64, 3), (64, 2)):
        with pytest.raises(
            ValueError, match=f'must be powers of 2 with 4 .* got {size} and {last}'
        ):
            StyleGAN2Discriminator(size=size, last_size=last)
    with pytest.raises(ValueError, match='64 x 64 pixels, got 64 x 32: set discriminator.size'):
        StyleGAN2Discriminator(size=64, base_channels=4)(torch.rand(1, 3, 64, 32))
