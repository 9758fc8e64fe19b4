"""Networks of multi-modal translation beside the paper's description and slow references."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sesim_mmagic.networks import MultiScaleDiscriminator, MUNITGenerator
from sesim_mmagic.networks.munit_generator import AdaptiveResidualBlock, adaptive_instance_norm
from sesim_mmagic.networks.resnet_generator import ResidualBlock
from sesim_mmagic.registry import MODELS

# Appendix B.2 of the paper, in its own words.
CONTENT = 'c7s1-64 d128 d256 R256 R256 R256 R256'
STYLE = 'c7s1-64 d128 d256 d256 d256'  # then GAP, fc8
DECODER = 'R256 R256 R256 R256 u128 u64 c7s1-3'
DISCRIMINATOR = 'd64 d128 d256 d512'


def convolutions(description):
    """Kernel, stride and width of the convolutions behind the paper's names."""
    for name in description.split():
        kind, width = name[0], int(name.split('-')[-1].lstrip('dRu'))
        shapes = dict(c=[(7, 1)], d=[(4, 2)], R=[(3, 1)] * 2, u=[(5, 1)])[kind]
        yield from ((kernel, stride, width) for kernel, stride in shapes)


def convolutions_of(*modules):
    found = [m for module in modules for m in module.modules() if isinstance(m, nn.Conv2d)]
    return [(m.kernel_size[0], m.stride[0], m.out_channels) for m in found]


def count(description, channels=3):
    """Weights and biases of the described convolutions; the width that comes out."""
    total = 0
    for kernel, _, width in convolutions(description):
        total += (kernel**2 * channels + 1) * width
        channels = width
    return total, channels


def small(**kwargs):
    torch.manual_seed(0)
    options = dict(base_channels=4, num_blocks=2, mlp_channels=6, style_channels=3)
    network = MUNITGenerator(**{**options, **kwargs})
    network.init_weights()
    return network


def test_layers_and_number_of_parameters_are_the_papers():
    with torch.device('meta'):
        network = MODELS.build(dict(type='sesim_mmagic.MUNITGenerator'))
    assert convolutions_of(network.content_encoder) == [*convolutions(CONTENT)]
    assert convolutions_of(network.style_encoder) == [*convolutions(STYLE), (1, 1, 8)]
    assert convolutions_of(network.blocks, network.up_path) == [*convolutions(DECODER)]
    mlp = (8 + 1) * 256 + (256 + 1) * 256 + (256 + 1) * (4 * 2 * 2 * 256)
    parts = count(CONTENT)[0] + count(STYLE)[0] + count(DECODER, 256)[0]
    layer_norms, last = 2 * (128 + 64), (256 + 1) * 8
    assert sum(p.numel() for p in network.parameters()) == parts + mlp + layer_norms + last
    assert (network.style_channels, network.size_divisor) == (8, 4)
    assert not list(network.buffers())


def test_layers_of_the_discriminator_are_the_papers():
    with torch.device('meta'):
        network = MODELS.build(dict(type='sesim_mmagic.MultiScaleDiscriminator'))
    for scale in network.scales:
        assert convolutions_of(scale) == [*convolutions(DISCRIMINATOR), (1, 1, 1)]
        assert [m.negative_slope for m in scale if isinstance(m, nn.LeakyReLU)] == [0.2] * 4
    one = count(DISCRIMINATOR)[0] + 513
    assert len(network.scales) == 3
    assert sum(p.numel() for p in network.parameters()) == 3 * one


@pytest.mark.parametrize('downsamplings, style_downsamplings', [(2, 4), (1, 2), (0, 0), (3, 1)])
def test_shapes(downsamplings, style_downsamplings):
    network = small(num_downsamplings=downsamplings, style_downsamplings=style_downsamplings)
    images = torch.rand(2, 3, 32, 48) * 2 - 1
    content, style = network(images)
    divisor = network.size_divisor
    assert divisor == 2**downsamplings
    assert content.shape == (2, 4 * divisor, 32 // divisor, 48 // divisor)
    assert style.shape == (2, 3)
    output = network(images, style)
    assert output.shape == images.shape and output.abs().max() <= 1


def test_three_ways_to_call_it():
    network, images = small(), torch.rand(2, 3, 32, 16)
    content, style = network(images)
    assert torch.equal(content, network.encode_content(images))
    assert torch.equal(style, network.encode_style(images))
    other = torch.randn(2, 3)
    expected = network.decode(content, other)
    assert torch.equal(network(images, other), expected)
    assert torch.equal(network(style=other, content=content), expected)
    assert not torch.allclose(network(images, style), expected, atol=1e-3)


def slow_norm(values, scale=1.0, shift=0.0):
    """Mean 0 and variance 1 over everything, then scale and shift."""
    return (values - values.mean()) / np.sqrt(values.var() + 1e-5) * scale + shift


def slow_adain(features, affine):
    features, affine = features.detach().double().numpy(), affine.detach().double().numpy()
    out = np.empty((max(len(features), len(affine)), *features.shape[1:]))
    for b in range(len(out)):
        x, a = features[b % len(features)], affine[b % len(affine)]
        for c in range(x.shape[0]):
            out[b, c] = slow_norm(x[c], a[0, c], a[1, c])
    return torch.from_numpy(out)


@pytest.mark.parametrize('images, styles', [(1, 1), (3, 3), (1, 4), (4, 1)])
def test_adaptive_instance_norm_agrees_with_slow_reference(images, styles):
    features = 3 + 2 * torch.randn(images, 5, 6, 9, dtype=torch.float64)
    affine = torch.randn(styles, 2, 5, dtype=torch.float64)
    found = adaptive_instance_norm(features, affine)
    assert torch.allclose(found, slow_adain(features, affine))
    last = found.to(memory_format=torch.channels_last)
    assert torch.allclose(last, adaptive_instance_norm(features, affine))


def slow_conv(features, conv, pad=0):
    return F.conv2d(F.pad(features, (pad,) * 4, 'reflect'), conv.weight, conv.bias, conv.stride)


def slow_block(features, convs, affine):
    out = slow_adain(slow_conv(features, convs[0], 1), affine[:, 0]).clamp(min=0)
    return features + slow_adain(slow_conv(out, convs[1], 1), affine[:, 1])


@torch.no_grad()
def test_decoder_agrees_with_slow_reference():
    network = small().double()
    norms = [m for m in network.up_path if isinstance(m, nn.GroupNorm)]
    assert len(norms) == 2
    for parameter in (p for norm in norms for p in norm.parameters()):
        nn.init.normal_(parameter)
    content = torch.randn(2, 16, 6, 5, dtype=torch.float64)
    style = torch.randn(2, 3, dtype=torch.float64)

    hidden, linear = style, [m for m in network.mlp if isinstance(m, nn.Linear)]
    for layer in linear[:-1]:
        hidden = (hidden @ layer.weight.T + layer.bias).clamp(min=0)
    affine = (hidden @ linear[-1].weight.T + linear[-1].bias).reshape(2, 2, 2, 2, 16)
    features = content
    for index, block in enumerate(network.blocks):
        convs = [m for m in block.modules() if isinstance(m, nn.Conv2d)]
        features = slow_block(features, convs, affine[:, index])
    convs = [m for m in network.up_path if isinstance(m, nn.Conv2d)]
    for conv, norm in zip(convs, norms, strict=False):
        features = slow_conv(features.repeat_interleave(2, 2).repeat_interleave(2, 3), conv, 2)
        rows = []
        for image in features.numpy():
            scale, shift = (p.numpy()[:, None, None] for p in (norm.weight, norm.bias))
            rows.append(slow_norm(image, scale, shift))
        features = torch.from_numpy(np.stack(rows)).clamp(min=0)
    expected = slow_conv(features, convs[-1], 3).tanh()
    assert torch.allclose(network.decode(content, style), expected)


@torch.no_grad()
def test_encoders_agree_with_slow_reference():
    network, images = small().double(), torch.randn(2, 3, 32, 48, dtype=torch.float64)
    plain = torch.stack([torch.ones(1, 64), torch.zeros(1, 64)], 1).double()
    convs = [m for m in network.content_encoder.modules() if isinstance(m, nn.Conv2d)]
    features = images
    for conv, pad in zip(convs[:3], (3, 1, 1), strict=True):
        out = slow_conv(features, conv, pad)
        features = slow_adain(out, plain[..., : out.shape[1]]).clamp(min=0)
    for pair in (convs[3:5], convs[5:7]):
        features = slow_block(features, pair, plain[:, None, :, :16].expand(-1, 2, -1, -1))
    assert torch.allclose(network.encode_content(images), features)

    *convs, last = [m for m in network.style_encoder if isinstance(m, nn.Conv2d)]
    features = images
    for conv, pad in zip(convs, (3, 1, 1, 1, 1), strict=True):
        features = slow_conv(features, conv, pad).clamp(min=0)
    pooled = features.mean((2, 3))
    expected = pooled @ last.weight[:, :, 0, 0].T + last.bias
    assert torch.allclose(network.encode_style(images), expected)


@torch.no_grad()
def test_one_content_in_many_styles_and_many_contents_in_one():
    network = small().double()
    content = torch.randn(4, 16, 5, 6, dtype=torch.float64)
    styles = torch.randn(4, 3, dtype=torch.float64)
    # The first convolution does not know the style: it runs once, not once a style.
    sizes = []
    network.blocks[0].conv1.register_forward_hook(lambda m, args, out: sizes.append(len(out)))
    many = network.decode(content[:1], styles)
    assert sizes == [1]
    for one, style in zip(many, styles, strict=True):
        assert torch.allclose(one, network.decode(content[:1], style[None])[0])
    assert not torch.allclose(many[0], many[1])
    for one, single in zip(network.decode(content, styles[:1]), content, strict=True):
        assert torch.allclose(one, network.decode(single[None], styles[:1])[0])


@torch.no_grad()
def test_images_of_a_batch_do_not_see_each_other():
    """What several ranks compute is then what one process computes on the joined batch."""
    network, images, style = small().double(), torch.rand(3, 3, 16, 16).double(), torch.randn(3, 3)
    style = style.double()
    for index in range(3):
        one = network(images[index : index + 1], style[index : index + 1])
        assert torch.allclose(one[0], network(images, style)[index])


def test_style_sets_mean_and_deviation_of_features_and_content_does_not():
    """AdaIN (Sec. 5.1): what a channel's scale and shift were before is gone."""
    block = AdaptiveResidualBlock(4).double()
    block.conv1 = nn.Identity()
    seen = []
    block.conv2 = nn.Sequential(nn.Identity())
    block.conv2.register_forward_hook(lambda m, args, out: seen.append(out.clone()))
    features = torch.randn(2, 4, 16, 16, dtype=torch.float64)
    affine = torch.randn(2, 2, 2, 4, dtype=torch.float64)
    affine[:, 0, 1] = 9  # far above 0, so that the ReLU cuts nothing off
    scale, shift = torch.rand(2, 4, 1, 1).double() + 0.5, torch.randn(2, 4, 1, 1).double()
    residuals = [block(x, affine) - x for x in (features, scale * features + shift)]
    assert torch.allclose(*residuals, atol=1e-4)
    assert torch.allclose(seen[0].mean((2, 3)), affine[:, 0, 1])
    deviation = seen[0].std((2, 3), unbiased=False)
    assert torch.allclose(deviation, affine[:, 0, 0].abs(), rtol=1e-4)


@torch.no_grad()
def test_content_forgets_contrast_and_colour_of_the_image_and_style_does_not():
    network = small().double()
    images = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    shifted = 0.7 * images + torch.tensor([0.1, -0.3, 0.2], dtype=torch.float64)[:, None, None]
    (content, style), (other, other_style) = network(images), network(shifted)
    assert torch.allclose(content, other, atol=1e-3)
    assert not torch.allclose(style, other_style, atol=1e-2)


@torch.no_grad()
def test_style_is_of_the_whole_image():
    """Pooled over all positions: constant images of any size have one style, tiles a mean one."""
    network = small().double()
    colour = torch.tensor([0.3, -0.5, 0.8], dtype=torch.float64)[:, None, None]
    styles = [
        network.encode_style(colour.expand(1, 3, *size)) for size in ((16, 16), (48, 32), (64, 20))
    ]
    assert all(torch.allclose(styles[0], style) for style in styles)
    # A square on grey ground keeps its style where it moves by whole strides within the image.
    image = torch.zeros(1, 3, 192, 192, dtype=torch.float64)
    image[..., 80:100, 80:100] = colour
    moved = image.roll((16, -16), (2, 3))
    assert torch.allclose(network.encode_style(image), network.encode_style(moved))
    assert not torch.allclose(network.encode_style(image), network.encode_style(0 * image))


def run_from_0(network, images, layers):
    """Every layer as a network of its own."""
    return [network.content_encoder[: layer + 1](images.clone()) for layer in layers]


# 2 and 6 are norms before a ReLU that works in place, 12 and 13 residual blocks.
@pytest.mark.parametrize('layers', [(0, 5, 9, 12), (2, 6), (2, 3), (13,)])
def test_features(layers):
    network, images = small(), torch.rand(2, 3, 16, 24)
    after = network.content_encoder[layers[-1] + 1 : layers[-1] + 2]
    expected = run_from_0(network, images, layers)
    for module in after:
        module.register_forward_hook(lambda *_: pytest.fail('computed for nothing'))
    found = network.encode(images, layers)
    assert [f.shape[1] for f in found] == list(network.feature_channels(layers))
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours, theirs)
    if 2 in layers:
        assert (found[0] < 0).any()


def test_channels_of_every_layer():
    with torch.device('meta'):
        network = MUNITGenerator()
    assert network.feature_channels((0, 1, 5, 9, 12, 15)) == (3, 64, 128, 256, 256, 256)
    network, images = small(num_downsamplings=1), torch.rand(1, 3, 16, 16)
    layers = range(len(network.content_encoder))
    found = [features.shape[1] for features in network.encode(images, layers)]
    assert tuple(found) == network.feature_channels(layers)
    assert isinstance(network.content_encoder[-1], ResidualBlock)
    for layers in ((4, 0), (0, 0), (0, 10), (-1,)):
        with pytest.raises(ValueError, match='must be ascending numbers from 0 to 9, got'):
            network.feature_channels(layers)


@pytest.mark.parametrize('images, styles', [(1, 1), (2, 2), (1, 2), (2, 1)])
def test_gradients_of_adaptive_instance_norm(images, styles):
    features = torch.randn(images, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    affine = torch.randn(styles, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(adaptive_instance_norm, (features, affine), fast_mode=True)


def test_gradients_of_the_generator():
    """By image, style and content; and with respect to weights in each part."""
    network = small(base_channels=2, num_blocks=1, num_downsamplings=1, style_downsamplings=1)
    network = network.double()
    images = torch.randn(2, 3, 4, 6, dtype=torch.float64, requires_grad=True)
    style = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    content = torch.randn(1, 4, 2, 3, dtype=torch.float64, requires_grad=True)
    parts = (network.content_encoder, network.style_encoder, network.mlp, network.up_path)
    weights = tuple(next(part.parameters()) for part in parts)

    def outputs(images, style, content, *_):
        return *network(images), network(images, style), network(style=style, content=content)

    inputs = (images, style, content, *weights)
    assert torch.autograd.gradcheck(outputs, inputs, fast_mode=True)


def test_through_a_distributed_wrapper(tmp_path):
    """A step of MUNIT calls it three times before one backward pass; every weight takes part."""
    bare, images, style = small(), torch.rand(2, 3, 16, 16), torch.randn(2, 3)

    def gradients(network, module):
        for _ in range(2):  # the second step fails if the first left a gradient unreduced
            module.zero_grad()
            content, own = network(images)
            reconstruction = network(style=own, content=content)
            loss = (reconstruction - images).abs().mean() + network(images, style).square().mean()
            loss.backward()
        return [parameter.grad.clone() for parameter in module.parameters()]

    expected = gradients(bare, bare)
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1
    )
    try:
        wrapped = nn.parallel.DistributedDataParallel(bare)
        found = gradients(wrapped, bare)
    finally:
        torch.distributed.destroy_process_group()
    assert all(torch.allclose(a, b, atol=1e-7) for a, b in zip(expected, found, strict=True))


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_of_adaptive_instance_norm(dtype):
    """Many values far from 0: sums in half precision would overflow or lose the deviation."""
    features = (20 + torch.randn(2, 3, 96, 96)).to(dtype)
    affine = torch.randn(2, 2, 3)
    expected = slow_adain(features, affine)
    with torch.autocast('cpu', dtype):
        found = adaptive_instance_norm(features, affine.to(dtype))
    assert found.dtype == dtype
    assert (found.double() - expected).abs().max() < 4 * 20 * torch.finfo(dtype).eps
    # Scale and shift of another type than the features: those of a half-precision perceptron.
    found = adaptive_instance_norm(features.float(), affine.to(dtype))
    assert torch.allclose(found.double(), slow_adain(features, affine.to(dtype)), atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision(dtype):
    network, images = small(base_channels=8), torch.rand(2, 3, 32, 32) * 2 - 1
    style = torch.randn(2, 3)
    expected = network(images), network(images, style)
    with torch.autocast('cpu', dtype):
        mixed = network(images), network(images, style)
    halved = network.to(dtype)
    halved = halved(images.to(dtype)), halved(images.to(dtype), style.to(dtype))
    for found in (mixed, halved):
        (content, own), translated = found
        assert content.dtype == own.dtype == translated.dtype == dtype
        assert (content.float() - expected[0][0]).abs().mean() < 0.03
        assert (own.float() - expected[0][1]).abs().max() < 0.03
        assert (translated.float() - expected[1]).abs().mean() < 0.03


def test_initialisation():
    network = MUNITGenerator(base_channels=16, mlp_channels=64)
    network.init_weights()
    layers = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    for layer in layers:
        assert layer.bias.abs().max() == 0
        if layer.weight.numel() > 1000:
            expected = (2 / layer.weight[0].numel()) ** 0.5
            assert layer.weight.std().item() == pytest.approx(expected, rel=0.1)
    for norm in (m for m in network.modules() if isinstance(m, nn.GroupNorm)):
        assert norm.weight.min() == 1 == norm.weight.max() and norm.bias.abs().max() == 0
    discriminator = MultiScaleDiscriminator(base_channels=16)
    discriminator.init_weights()
    for scale in discriminator.scales:
        assert scale[4].weight.std().item() == pytest.approx(0.02, rel=0.05)
        assert scale[4].bias.abs().max() == 0


def test_bad_arguments():
    for name in ('in_channels', 'base_channels', 'style_channels', 'num_blocks', 'mlp_channels'):
        with pytest.raises(ValueError, match=f'{name} must be a whole number, positive, got 0'):
            small(**{name: 0})
    for name in ('num_downsamplings', 'style_downsamplings'):
        with pytest.raises(ValueError, match=f'{name} must be a whole number, 0 or more, got -1'):
            small(**{name: -1})
    network, images, content = small(), torch.rand(2, 3, 16, 16), torch.rand(2, 16, 4, 4)
    for given in (
        dict(),
        dict(content=content),
        dict(style=torch.rand(2, 3)),
        dict(images=images, content=content),
        dict(images=images, style=torch.rand(2, 3), content=content),
    ):
        with pytest.raises(ValueError, match='takes images to encode'):
            network(**given)
    for shape in ((2, 4), (2, 3, 1, 1), (3,)):
        with pytest.raises(ValueError, match=r'the shape \(N, 3\), got \('):
            network.decode(content, torch.rand(shape))
    with pytest.raises(ValueError, match='got 2 contents and 3 styles'):
        network.decode(content, torch.rand(3, 3))
    with pytest.raises(ValueError, match='at least 16 x 16 pixels, got 20 x 15: enlarge'):
        network(torch.rand(1, 3, 20, 15))
    assert network.encode_style(images).shape == (2, 3)


def slow_scores(images, scale):
    for conv in [m for m in scale if isinstance(m, nn.Conv2d)][:-1]:
        images = slow_conv(images, conv, 1)
        images = torch.where(images > 0, images, 0.2 * images)
    return (images * scale[-1].weight[0][None]).sum(1, keepdim=True) + scale[-1].bias


@torch.no_grad()
@pytest.mark.parametrize('height, width', [(32, 64), (44, 35)])
def test_discriminator_agrees_with_slow_reference(height, width):
    network = MultiScaleDiscriminator(base_channels=4, num_layers=3).double()
    images = torch.randn(2, 3, height, width, dtype=torch.float64)
    found = network(images)
    assert [tuple(s.shape[2:]) for s in found] == [
        (height // 2**n, width // 2**n) for n in (3, 4, 5)
    ]
    for scores, scale in zip(found, network.scales, strict=True):
        assert torch.allclose(scores, slow_scores(images, scale))
        # Means of 3 x 3 positions, of as many as lie in the image.
        padded = torch.nn.functional.pad(images, (1, 1, 1, 1), value=float('nan'))
        rows, columns = (range(1, side + 1, 2) for side in images.shape[2:])
        images = torch.stack(
            [
                padded[..., i - 1 : i + 2, j - 1 : j + 2].flatten(2).nanmean(2)
                for i in rows
                for j in columns
            ],
            dim=2,
        ).unflatten(2, (len(rows), len(columns)))


def test_discriminator_of_the_smallest_image_and_of_a_smaller_one():
    network = MultiScaleDiscriminator(base_channels=2, num_layers=3, num_scales=2)
    assert [s.shape for s in network(torch.rand(2, 3, 16, 16))] == [(2, 1, 2, 2), (2, 1, 1, 1)]
    with pytest.raises(ValueError, match='2 scales need.*16 x 16 pixels, got 40 x 15: lower'):
        network(torch.rand(2, 3, 40, 15))
    for name in ('in_channels', 'base_channels', 'num_layers', 'num_scales'):
        with pytest.raises(ValueError, match=f'{name} must be a whole number, positive, got 0'):
            MultiScaleDiscriminator(**{name: 0})


def test_discriminator_can_be_differentiated_twice():
    """A gradient penalty differentiates its gradient."""
    network = MultiScaleDiscriminator(base_channels=2, num_layers=1, num_scales=2).double()
    images = torch.randn(1, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(network, images)
    weights = tuple(network.parameters())[:2]

    def penalty(images, *_):
        scores = sum(s.sum() for s in network(images))
        (gradient,) = torch.autograd.grad(scores, images, create_graph=True)
        return gradient.square().sum()

    assert torch.autograd.gradcheck(penalty, (images, *weights), fast_mode=True)
