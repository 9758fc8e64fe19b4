"""Networks computed strip by strip beside the same networks on whole pictures."""

import subprocess
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sesim_mmagic.networks import MUNITGenerator, ResNetBlurGenerator, StyleGAN2Generator
from sesim_mmagic.networks.resnet_generator import ResidualBlock
from sesim_mmagic.networks.strips import StyledDecoder, can_run_in_strips, run_in_strips
from sesim_mmagic.networks.strips.layers import layer_output
from sesim_mmagic.networks.strips.maps import StripRun, View, local_map, stored_map


def built(network, dtype=torch.float64):
    """Seeded weights large enough that every layer matters."""
    torch.manual_seed(0)
    spread = 1.0 if isinstance(network, StyleGAN2Generator) else 0.4
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=spread if parameter.ndim > 1 else 0.2)
    return network.to(dtype).eval()


def resnet(dtype=torch.float64, **kwargs):
    return built(ResNetBlurGenerator(**{**dict(base_channels=4, num_blocks=2), **kwargs}), dtype)


def munit(dtype=torch.float64, **kwargs):
    options = dict(base_channels=4, num_blocks=2, mlp_channels=6, style_channels=3)
    return built(MUNITGenerator(**{**options, **kwargs}), dtype)


def picture(height, width, batch=1, dtype=torch.float64):
    """Upper and lower parts have different means and contrasts, images too."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(batch, 3, height, width, generator=generator, dtype=torch.float64)
    slope = torch.linspace(0.05, 1, height, dtype=torch.float64)[:, None]
    shift = torch.arange(batch)[:, None, None, None] / 4
    return (noise * slope * 0.4 + slope - 0.5 + shift).to(dtype)


@torch.no_grad()
def whole(network, image):
    return network(image)


def assert_same(network, image, rows, tolerance=1e-9):
    expected = whole(network, image.clone())
    found = run_in_strips(network, image, rows)
    assert found.shape == expected.shape and found.dtype == expected.dtype
    assert not found.requires_grad
    scale = expected.abs().max()
    assert scale > 0.1 and expected.std() > 0.01  # there is something to compare
    assert (found - expected).abs().max() <= tolerance * scale


@pytest.mark.parametrize(
    'size, rows', [((64, 48), 5), ((37, 53), 16), ((101, 30), 17), ((37, 53), 1000)]
)
def test_resnet_generator_as_on_the_whole_picture(size, rows):
    assert_same(resnet(), picture(*size), rows)


@pytest.mark.parametrize(
    'options',
    [
        dict(num_downsamplings=0),
        dict(num_downsamplings=3, num_blocks=0),
        dict(num_blocks=4, dropout=0.5),
        dict(in_channels=1, out_channels=2, base_channels=2),
    ],
    ids=str,
)
def test_other_resnet_generators(options):
    image = picture(72, 40)[:, : options.get('in_channels', 3)]
    assert_same(resnet(**options), image, 16)


def test_a_strip_of_one_row_is_enough():
    assert_same(resnet(num_blocks=1), picture(33, 40), 1)


def test_images_of_a_batch_have_their_own_statistics():
    network, images = resnet(), picture(50, 44, batch=3)
    assert_same(network, images, 16)
    alone = torch.cat([run_in_strips(network, image[None], 16) for image in images])
    torch.testing.assert_close(run_in_strips(network, images, 16), alone)


def test_statistics_are_those_of_the_whole_picture():
    network, image = resnet(), picture(96, 40)
    expected = whole(network, image)
    tiles = torch.cat([whole(network, tile) for tile in image.split(48, 2)], 2)
    inner = slice(0, 20)  # far from where the tiles meet
    difference = (tiles - expected)[:, :, inner].abs().max()
    assert difference > 0.1  # tiles on their own are visibly different
    assert_same(network, image, 48)


def test_a_far_away_row_matters():
    network, image = resnet(num_blocks=0), picture(200, 24)
    changed = image.clone()
    changed[:, :, -1] += 3
    before, after = (run_in_strips(network, x, 16) for x in (image, changed))
    assert (after - before)[:, :, :100].abs().max() > 1e-4


@pytest.mark.parametrize('noise, rows', [(True, 7), (False, 32)])
def test_stylegan2_generator_with_the_noise_of_the_whole_picture(noise, rows):
    network = built(StyleGAN2Generator(base_channels=4, num_blocks=2, noise=noise, tanh=noise))
    for size in (64, 48), (44, 36):
        assert_same(network, picture(*size), rows)
    assert_same(network, picture(44, 36, batch=2), rows)


def test_stylegan2_generator_on_odd_sides():
    network = built(StyleGAN2Generator(base_channels=2, num_blocks=3, num_downsamplings=3))
    assert_same(network, picture(93, 59), 8)


@pytest.mark.parametrize('size, rows', [((64, 48), 32), ((76, 36), 9)])
def test_multi_modal_generator_content_then_style(size, rows):
    source, target = munit(), munit(base_channels=4)
    nn.init.normal_(target.up_path[-2].weight, std=0.1)
    image, style = picture(*size, batch=2), torch.randn(2, 3, dtype=torch.float64)
    assert_same(source.content_encoder, image, rows)
    content = run_in_strips(source.content_encoder, image, rows)
    decoder = StyledDecoder(target, style)
    assert_same(decoder, content, rows)
    found = run_in_strips(decoder, content, rows)
    with torch.no_grad():
        expected = target.decode(source.encode_content(image), style)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


def test_one_content_in_many_styles():
    network, style = munit(), torch.randn(3, 3, dtype=torch.float64)
    content = run_in_strips(network.content_encoder, picture(48, 40))
    assert_same(StyledDecoder(network, style), content, 16)
    assert_same(StyledDecoder(network, style[:1]), content.expand(2, -1, -1, -1), 16)


@pytest.mark.parametrize('norm', ['IN', 'BN'])
def test_generator_of_mmagic(norm):
    from sesim_mmagic.translators.mmagic_strips import ResnetGenerator

    network = built(
        ResnetGenerator(
            3, 3, base_channels=4, num_blocks=2, use_dropout=True, norm_cfg=dict(type=norm)
        )
    )
    assert can_run_in_strips(network)
    assert_same(network, picture(72, 44), 16)


LAYERS = [
    nn.Conv2d(3, 4, 5, stride=3, padding=2),
    nn.Conv2d(3, 4, 3, stride=2, padding=3, dilation=2),
    nn.Conv2d(3, 4, 7, padding=3, padding_mode='reflect'),
    nn.Conv2d(3, 3, 3, padding=1, padding_mode='replicate', groups=3),
    nn.ReflectionPad2d(6),
    nn.ReplicationPad2d(4),
    nn.ZeroPad2d(3),
    nn.ConvTranspose2d(3, 4, 4, stride=2, padding=1),
    nn.ConvTranspose2d(3, 4, 5, stride=3, padding=2, output_padding=2),
    nn.ConvTranspose2d(3, 4, 2, stride=2),
    nn.Upsample(scale_factor=3),
    nn.InstanceNorm2d(3, affine=True, eps=0.01),
    nn.InstanceNorm2d(3, track_running_stats=True),
    nn.BatchNorm2d(3),
    nn.GroupNorm(3, 3, eps=0.01),
    nn.Sequential(nn.Conv2d(3, 6, 1), nn.GroupNorm(2, 6)),
    nn.GroupNorm(1, 3, affine=False),
    nn.LeakyReLU(0.3, inplace=True),
    nn.Dropout(0.5),
]


@pytest.mark.parametrize('layer', LAYERS, ids=str)
@pytest.mark.parametrize('rows', [1, 6, 11])
def test_each_layer(layer, rows):
    assert_same(built(nn.Sequential(layer)), picture(47, 29, batch=2), rows)


def test_an_activation_in_place_leaves_picture_and_stored_maps_alone():
    image = picture(32, 32)
    before = image.clone()
    network = built(nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 3, 3)))
    assert_same(network, image.clone(), 8)
    run_in_strips(network, image, 8)
    torch.testing.assert_close(image, before, rtol=0, atol=0)
    assert network[0].inplace


def test_single_precision():
    assert_same(resnet(torch.float32), picture(64, 48, dtype=torch.float32), 16, 1e-4)


def test_half_precision_is_as_near_to_the_truth_as_on_the_whole_picture():
    image, network = picture(64, 48, dtype=torch.bfloat16), resnet(torch.bfloat16)
    whole_picture, strips = whole(network, image), run_in_strips(network, image, 16)
    assert strips.dtype == torch.bfloat16
    truth = whole(network.double(), image.double())
    errors = [(found - truth).abs().mean() for found in (whole_picture, strips)]
    assert errors[1] < 1.2 * errors[0] < 0.2


def test_a_picture_of_another_type_is_taken_as_the_networks():
    network, image = resnet(torch.float32), picture(40, 40)
    found = run_in_strips(network, image, 16)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, whole(network, image.float()), rtol=0, atol=1e-4)


def test_moments_in_half_precision_are_taken_in_single():
    """A mean far from zero: bfloat16 has steps of 0.25 there."""
    image = (picture(256, 16, dtype=torch.float64) * 0.3 + 40).bfloat16()
    run = StripRun(8, image.device, image.device, image[0].numel())
    normed = run.normalize(stored_map(image, image.device, image.dtype), 3, 1e-5)
    expected = F.instance_norm(image.double())
    found = normed.rows(0, 256).double()
    torch.testing.assert_close(found, expected, rtol=0.01, atol=0.01)


def test_only_as_few_rows_are_asked_for_as_needed():
    asked, image = [], picture(100, 20)
    stored = stored_map(image, image.device, image.dtype)
    source = stored.like(lambda *rows: (asked.append(rows), stored.rows(*rows))[1])
    conv, double = nn.Conv2d(3, 1, 5, stride=2, padding=2).double(), nn.Upsample(scale_factor=2)
    local_map(source, lambda *_: conv, View(5, 2, 2), 1).rows(10, 20)
    local_map(source, lambda *_: double, View(factor=2), 3).rows(10, 20)
    assert asked == [(18, 41), (5, 10)]


def test_rows_are_those_of_the_picture_that_comes_out():
    network, heights = munit(), []
    network.up_path[-2].register_forward_hook(lambda *call: heights.append(call[2].shape[2]))
    content = run_in_strips(network.content_encoder, picture(96, 32))
    decoder = StyledDecoder(network, torch.zeros(1, 3, dtype=torch.float64))
    run_in_strips(decoder, content, rows=32)
    assert heights == [32] * 3


def test_residual_blocks_are_computed_once_and_the_rest_a_few_times():
    network, image = resnet(num_blocks=9), picture(128, 32)
    work = {}

    def count(conv, inputs, output):
        name = names[conv]
        work[name] = work.get(name, 0) + conv.weight[0].numel() * output.numel()

    names = {m: name for name, m in network.named_modules() if isinstance(m, nn.Conv2d)}
    for conv in names:
        conv.register_forward_hook(count)
    whole(network, image)
    once, work = work, {}
    run_in_strips(network, image, 64)
    assert work.keys() == once.keys()
    times = {name: work[name] / once[name] for name in once}
    assert all(times[name] < 1.15 for name in once if 'conv_block' in name)  # strips overlap
    assert max(times.values()) < 3.6
    assert sum(work.values()) < 1.5 * sum(once.values())


def test_the_decoder_of_a_multi_modal_generator_computes_its_blocks_once():
    network, heights = munit(num_blocks=4), []
    content = run_in_strips(network.content_encoder, picture(96, 32))
    for block in network.blocks:
        block.conv1[1].register_forward_hook(lambda *call: heights.append(call[2].shape[2]))
    run_in_strips(StyledDecoder(network, torch.zeros(1, 3, dtype=torch.float64)), content, 32)
    assert sum(heights) == 4 * 24


def test_residual_blocks_leave_one_stored_map():
    image = picture(40, 24)
    run = StripRun(2, image.device, image.device, image[0].numel())
    source = stored_map(image, image.device, image.dtype)
    output = layer_output(ResidualBlock(3).double(), source, run)
    # A sum to be made would hold on to both its terms, and be made anew for each asking.
    assert output.rows(0, 40).data_ptr() == output.rows(0, 40).data_ptr()


PEAK = """
import sys, torch
from sesim_mmagic.networks.resnet_generator import ResNetBlurGenerator
from sesim_mmagic.networks.strips import run_in_strips
def peak():  # getrusage's would begin with that of the process that started this one
    with open('/proc/self/status') as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith('VmHWM'))
network = ResNetBlurGenerator(base_channels=16, num_blocks=1).eval()
image = torch.rand(1, 3, 1500, 1000)
before = peak()
with torch.no_grad():
    run_in_strips(network, image, 64) if sys.argv[1] == 'strips' else network(image)
print(peak() - before)
"""


@pytest.mark.skipif(not Path('/proc/self/status').exists(), reason='peak memory is read from /proc')
def test_peak_memory_is_far_below_that_of_the_whole_picture(python):
    def megabytes(way):
        run = subprocess.run([python, '-c', PEAK, way], capture_output=True, text=True, timeout=300)
        assert run.returncode == 0, run.stderr
        return int(run.stdout) / 1024

    pixels = 1500 * 1000 / 2**20
    in_strips, full = megabytes('strips'), megabytes('whole')
    assert full > 4 * 60 * pixels  # at least the widest map and what it becomes
    assert in_strips < 0.4 * full


class Turned(nn.Module):
    def forward(self, features):
        return features.transpose(2, 3)


class WiderConv(nn.Conv2d):
    def forward(self, features):
        return super().forward(features.flip(2))


REFUSED = [
    (Turned(), 'Turned'),
    (WiderConv(3, 3, 3), 'WiderConv'),
    (nn.AdaptiveAvgPool2d(1), 'AdaptiveAvgPool2d'),
    (nn.Conv2d(3, 3, 3, padding=1, padding_mode='circular'), 'circular'),
    (nn.Conv2d(3, 3, 3, padding='same'), 'same'),
    (nn.Conv2d(3, 3, (3, 5)), 'unequal'),
    (nn.ReflectionPad2d((1, 1, 1, 2)), 'unequal'),
    (nn.ConvTranspose2d(3, 3, 3, stride=2), 'times as large'),
    (nn.Upsample(size=(9, 9)), 'whole factor'),
    (nn.Upsample(scale_factor=1.5), 'whole factor'),
    (nn.Upsample(scale_factor=2, mode='bilinear'), 'nearest'),
    (nn.BatchNorm2d(3, track_running_stats=False), 'batch'),
    (munit(), 'type is not known'),
]


@pytest.mark.parametrize('layer, message', REFUSED, ids=lambda value: str(value)[:40])
def test_what_cannot_be_computed_is_named(layer, message):
    network = nn.Sequential(nn.Conv2d(3, 3, 1), layer).eval().double()
    assert not can_run_in_strips(network)
    with pytest.raises(ValueError, match=message):
        run_in_strips(network, picture(16, 16))


def test_what_can_be_computed():
    style = torch.zeros(1, 3, dtype=torch.float64)
    networks = resnet(), built(StyleGAN2Generator()), munit().content_encoder
    assert all(map(can_run_in_strips, (*networks, StyledDecoder(munit(), style))))
    assert can_run_in_strips(ResNetBlurGenerator(in_channels=1, base_channels=2))


def test_wrong_arguments():
    network = resnet()
    with pytest.raises(ValueError, match='rows must be positive, got 0'):
        run_in_strips(network, picture(16, 16), rows=0)
    with pytest.raises(ValueError, match=r'\(B, C, H, W\), got \(3, 16, 16\)'):
        run_in_strips(network, picture(16, 16)[0])
    with pytest.raises(ValueError, match='eval'):
        run_in_strips(network.train(), picture(16, 16))
    with pytest.raises(ValueError, match=r'\(N, 3\), got \(1, 4\)'):
        StyledDecoder(munit(), torch.zeros(1, 4))
