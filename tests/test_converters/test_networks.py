"""Published networks become this package's, tensor by tensor, and published ones again."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sesim_mmagic.converters import convert
from sesim_mmagic.losses import LSeSimLoss, PatchNCELoss
from sesim_mmagic.networks import (
    BlurPatchGAN,
    ResNetBlurGenerator,
    StyleGAN2Discriminator,
    StyleGAN2Generator,
)
from sesim_mmagic.registry import MODELS
from tests.golden import field, smooth

from . import published
from .published import filled, listed, same


def to_ours(state_dict, name='a file'):
    return convert(state_dict, name).tensors


def to_published(state_dict):
    return convert(state_dict, 'ours', published=False).tensors


def arguments(network):
    """What the tensors told, without what is the same for each network of a kind."""
    fixed = ('type', 'norm_cfg', 'padding_mode')
    return {name: value for name, value in network.config.items() if name not in fixed}


def built(network):
    """Our network as its config builds it."""
    config = dict(network.config)
    if network.kind == 'heads':
        feature_net = dict(type='sesim_mmagic.VGG16Features', pretrained=None, seed=0)
        layers = ('relu3_1', 'relu4_1', 'relu4_3')
        return MODELS.build(dict(type=config['type'], layers=layers, feature_net=feature_net))
    if network.kind == 'perceptrons':
        config['layers'] = range(len(config['channels']))
    return MODELS.build(config)


@torch.no_grad()
def loaded(state_dict):
    converted = convert(state_dict, 'a file')
    network = built(converted).eval()
    part = network.heads if converted.kind == 'heads' else network
    assert list(converted.tensors) == list(part.state_dict())  # in our order too
    part.load_state_dict(converted.tensors)
    return network


# ----------------------------------------------------------------------- published files


@pytest.mark.parametrize(
    'name, network, kind, expected, constants',
    [
        (
            'single_modal/latest_net_G.pth',
            ResNetBlurGenerator,
            'generator',
            dict(base_channels=64, num_blocks=9, num_downsamplings=2, dropout=0.0),
            4,
        ),
        (
            'single_modal/latest_net_D.pth',
            BlurPatchGAN,
            'discriminator',
            dict(base_channels=64, num_layers=3),
            3,
        ),
        (
            'single_modal/latest_net_F.pth',
            LSeSimLoss,
            'heads',
            dict(channels=(256, 512, 512)),
            0,
        ),
        (
            'single_image/latest_net_G.pth',
            StyleGAN2Generator,
            'generator',
            dict(base_channels=32, num_blocks=6, num_downsamplings=2, noise=True),
            6,
        ),
        (
            'single_image/latest_net_D.pth',
            StyleGAN2Discriminator,
            'discriminator',
            dict(base_channels=16, size=128, last_size=8),
            8,
        ),
        (
            'sincut/latest_net_G.pth',
            StyleGAN2Generator,
            'generator',
            dict(base_channels=80, num_blocks=6, num_downsamplings=1, noise=True),
            3,
        ),
        (
            'sincut/latest_net_D.pth',
            StyleGAN2Discriminator,
            'discriminator',
            dict(base_channels=32, size=64, last_size=4),
            8,
        ),
    ],
)
def test_published_files(name, network, kind, expected, constants):
    state_dict = published.drawn(listed(name))
    converted = convert(state_dict, name)
    assert converted.kind == kind
    assert expected.items() <= converted.config.items()
    assert len(converted.tensors) == len(state_dict) - constants
    assert isinstance(loaded(state_dict), network)
    assert same(to_published(converted.tensors), state_dict)


def test_the_references_of_these_tests_have_the_tensors_of_published_files():
    for name, reference in {
        'single_modal/latest_net_G.pth': published.resnet(64, 9),
        'single_modal/latest_net_D.pth': published.patch_gan(64, 3),
        'single_modal/latest_net_F.pth': published.heads((256, 512, 512)),
    }.items():
        shapes = {k: tuple(v.shape) for k, v in reference.state_dict().items()}
        assert list(shapes.items()) == list(listed(name).items())


# ---------------------------------------------------------------------------- outputs


@pytest.mark.parametrize(
    'shapes, scale, side, seed, mean, std, first, last',
    [
        (
            {k: v.shape for k, v in published.resnet(8, 9).state_dict().items()},
            0.1,
            64,
            5,
            -0.0167213,
            0.5207121,
            (-0.128177, 0.040721, -0.222374),
            (-0.041262, 0.030121, -0.234866),
        ),
        (
            {k: v.shape for k, v in published.patch_gan(8, 3).state_dict().items()},
            0.1,
            64,
            5,
            0.1190285,
            1.3819525,
            (1.886196, 0.744367, 2.223646),
            (-0.242765, -0.019784, -2.054405),
        ),
        (
            listed('single_image/latest_net_G.pth'),
            1,
            128,
            6,
            0.3573152,
            0.4396054,
            (0.329669, 0.334988, 0.28884),
            (0.668766, 0.65903, 0.725945),
        ),
        (
            listed('single_image/latest_net_D.pth'),
            1,
            128,
            6,
            0.463159,
            None,
            (0.463159,),
            (0.463159,),
        ),
        (
            listed('sincut/latest_net_G.pth'),
            1,
            64,
            6,
            0.3770760,
            0.8654023,
            (0.349078, 0.709925, 0.919777),
            (-0.316473, -0.279728, -0.226114),
        ),
        (listed('sincut/latest_net_D.pth'), 1, 64, 6, 0.5236245, None, (0.523624,), (0.523624,)),
    ],
    ids=['ResNet', 'PatchGAN', 'StyleGAN2 G', 'StyleGAN2 D', 'SinCUT G', 'SinCUT D'],
)
@torch.no_grad()
def test_golden_output_of_the_authors_tensors(shapes, scale, side, seed, mean, std, first, last):
    network = loaded(filled({name: tuple(shape) for name, shape in shapes.items()}, scale))
    if list(shapes.items()) == list(listed('sincut/latest_net_G.pth').items()):
        network.tanh = False  # nothing in the tensors says so
    output = network(3 * smooth(field((1, 3, side, side), seed)))
    assert output.mean().item() == pytest.approx(mean, abs=2e-6)
    if std is not None:
        assert output.std().item() == pytest.approx(std, rel=1e-5)
    assert output.flatten()[:3].tolist() == pytest.approx(first, abs=1e-5)
    assert output.flatten()[-3:].tolist() == pytest.approx(last, abs=1e-5)


@pytest.mark.parametrize('blur', [True, False])
@pytest.mark.parametrize('dropout', [True, False])
@torch.no_grad()
def test_generators_give_what_their_references_give(blur, dropout):
    reference = published.resnet(4, 3, blur=blur, dropout=dropout).eval()
    images = torch.rand(1, 3, 32, 24) * 2 - 1
    assert torch.allclose(loaded(reference.state_dict())(images), reference(images), atol=1e-5)


@pytest.mark.parametrize('blur', [True, False])
@torch.no_grad()
def test_discriminators_give_what_their_references_give(blur):
    reference = published.patch_gan(4, 2, blur=blur).eval()
    images = torch.rand(1, 3, 40, 48) * 2 - 1
    assert torch.allclose(loaded(reference.state_dict())(images), reference(images), atol=1e-5)


@torch.no_grad()
def test_perceptrons_give_what_their_references_give():
    reference = published.perceptrons((3, 8, 16), 5)
    loss = loaded(reference.state_dict())
    assert isinstance(loss, PatchNCELoss) and loss.channels == (3, 8, 16)
    for i, channels in enumerate(loss.channels):
        patches = torch.rand(7, channels)
        name = f'mlp_{i}'
        assert torch.equal(loss.get_submodule(name)(patches), reference[name](patches))


@torch.no_grad()
def test_heads_give_what_their_references_give():
    reference = published.heads((256, 512, 512))
    loss = loaded(reference.state_dict())
    for i, channels in enumerate((256, 512, 512)):
        features = torch.rand(1, channels, 2, 2)
        name = f'conv_{i}'
        assert torch.equal(loss.heads[name](features), reference[name](features))


# ------------------------------------------------------------------------- round trips

SIZES = dict(deadline=None, max_examples=12)


@settings(**SIZES)
@given(
    st.integers(1, 6), st.integers(1, 4), st.integers(1, 3), st.booleans(), st.sampled_from([1, 3])
)
def test_resnet_of_any_size(width, blocks, downs, dropout, channels):
    reference = published.resnet(width, blocks, downs, True, dropout, channels=channels)
    network = convert(reference.state_dict(), 'G')
    assert network.config == dict(
        type='sesim_mmagic.ResNetBlurGenerator',
        in_channels=channels,
        out_channels=channels,
        base_channels=width,
        num_blocks=blocks,
        num_downsamplings=downs,
        dropout=0.5 * dropout,
    )
    assert same(to_published(loaded(reference.state_dict()).state_dict()), reference.state_dict())


@settings(**SIZES)
@given(st.integers(1, 6), st.integers(1, 4), st.booleans(), st.booleans())
def test_cyclegan_of_any_size(width, blocks, dropout, statistics):
    reference = published.resnet(width, blocks, 2, False, dropout, statistics)
    converted = convert(reference.state_dict(), 'G')
    assert converted.config['type'] == 'mmagic.ResnetGenerator'
    assert arguments(converted) == dict(
        in_channels=3,
        out_channels=3,
        base_channels=width,
        num_blocks=blocks,
        use_dropout=dropout,
    )
    plain = published.resnet(width, blocks, 2, False, dropout)
    plain.load_state_dict(reference.state_dict(), strict=False)
    left_out = len(reference.state_dict()) - len(converted.tensors)
    assert left_out == statistics * 3 * (5 + 2 * blocks)
    assert same(to_published(loaded(reference.state_dict()).state_dict()), plain.state_dict())


@settings(**SIZES)
@given(st.integers(1, 6), st.integers(1, 5), st.booleans())
def test_patch_gan_of_any_size(width, count, blur):
    reference = published.patch_gan(width, count, blur)
    network = convert(reference.state_dict(), 'D')
    name = 'num_layers' if blur else 'num_conv'
    assert arguments(network) == {'in_channels': 3, 'base_channels': width, name: count}
    assert same(to_published(loaded(reference.state_dict()).state_dict()), reference.state_dict())


@settings(**SIZES)
@given(
    st.integers(1, 5),
    st.integers(0, 3),
    st.integers(0, 3),
    st.booleans(),
    st.sampled_from([8, 16, 64]),
    st.sampled_from([4, 8]),
)
def test_our_stylegan2_of_any_size_comes_back(width, half, downs, noise, size, last_size):
    for network in (
        StyleGAN2Generator(3, 3, width, 2 * half, downs, noise),
        StyleGAN2Discriminator(size, 3, width, last_size),
    ):
        ours = {k: torch.randn(v.shape) for k, v in network.state_dict().items()}
        theirs = to_published(ours)
        assert same(to_ours(theirs), ours)
        assert same(to_published(to_ours(theirs)), theirs)


def test_wide_stylegan2_is_capped():
    network = StyleGAN2Generator(base_channels=300, num_blocks=2, num_downsamplings=2)
    assert same(to_ours(to_published(network.state_dict())), network.state_dict())


def test_old_statistics_are_left_out():
    reference = published.resnet(2, 1, blur=False, statistics=True).state_dict()
    assert 'model.2.running_mean' in reference
    # PyTorch 0.3 did not count batches.
    older = {k: v for k, v in reference.items() if not k.endswith('num_batches_tracked')}
    for state_dict in (reference, older):
        ours = to_ours(state_dict)
        assert not any('running' in name or 'num_batches' in name for name in ours)
        assert all(same({'': to_published(ours)[n]}, {'': older[n]}) for n in to_published(ours))


def test_files_of_cut_without_a_gpu():
    bare = published.resnet(2, 1).state_dict()
    wrapped = {f'module.{name}': value for name, value in bare.items()}
    assert same(to_ours(wrapped), to_ours(bare))
    with pytest.raises(ValueError, match='module'):
        to_published({f'module.{name}': value for name, value in to_ours(bare).items()})


def test_half_precision_stays_what_it_is():
    halved = {k: v.half() for k, v in published.resnet(2, 1).state_dict().items()}
    assert same(to_published(to_ours(halved)), halved)
