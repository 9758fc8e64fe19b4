"""Feature networks against the networks and resizings that they stand for."""

import os

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from PIL import Image
from torch_fidelity.feature_extractor_inceptionv3 import (
    URL_INCEPTION_V3,
    FeatureExtractorInceptionV3,
)

from sesim_mmagic.evaluation import InceptionFeatures, PooledFeatures
from sesim_mmagic.networks import VGG16Features
from sesim_mmagic.registry import MODELS


def pictures(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, shape, dtype=np.uint8))


@pytest.fixture(scope='module')
def clean():
    return InceptionFeatures(pretrained=None, seed=0)


@pytest.fixture(scope='module')
def weights_file(clean, tmp_path_factory):
    path = tmp_path_factory.mktemp('weights') / 'inception.pth'
    clean.init_weights()
    torch.save(clean.network.state_dict(), path)
    return str(path)


@pytest.fixture(scope='module')
def legacy(weights_file):
    return InceptionFeatures(pretrained=weights_file, resize='legacy')


def test_legacy_is_torch_fidelity(legacy, weights_file):
    """Which loads a state dict strictly, so the names are its own."""
    batch = pictures(2, 3, 40, 56)
    expected = FeatureExtractorInceptionV3('inception', ['2048'], weights_file)(batch)[0]
    found = legacy(batch)
    assert found.shape == (2, 2048) and found.dtype == torch.float32
    assert found.std() > 0.01
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_resizings_differ_but_for_pictures_of_the_size_of_the_network(clean, legacy):
    small, fitting = pictures(1, 3, 40, 56), pictures(1, 3, 299, 299)
    assert (clean(small) - legacy(small)).abs().mean() > 0.01 * legacy(small).mean()
    torch.testing.assert_close(clean(fitting), legacy(fitting))


@pytest.mark.parametrize('size', [(40, 56), (400, 310)])
def test_clean_is_pillows_bicubic_resizing_of_floats(clean, size):
    """Of each channel by itself, overshoot clipped; and this is what the network sees."""
    batch = (pictures(1, 3, *size) > 127).byte() * 255
    expected = [
        np.array(Image.fromarray(channel.astype(np.float32)).resize((299, 299), Image.BICUBIC))
        for channel in batch[0].numpy()
    ]
    assert np.min(expected) < 0 and np.max(expected) > 255
    seen = []
    handle = clean.network.Conv2d_1a_3x3.register_forward_hook(lambda *a: seen.append(a[1][0]))
    clean(batch)
    handle.remove()
    expected = torch.from_numpy(np.stack(expected)).clamp(0, 255)[None]
    torch.testing.assert_close(128 * (seen[0] + 1), expected, rtol=0, atol=0.01)


def test_random_weights_follow_their_seed(clean):
    clean.init_weights()
    state = torch.get_rng_state()
    networks = [InceptionFeatures(pretrained=None, seed=seed) for seed in (0, 1)]
    for network in networks:
        network.init_weights()
    assert torch.equal(state, torch.get_rng_state())
    drawn = [n.network.Mixed_7c.branch1x1.conv.weight for n in (clean, *networks)]
    assert torch.equal(drawn[0], drawn[1]) and not torch.allclose(drawn[0], drawn[2])


def test_names_tell_random_weights(clean, legacy):
    assert (clean.name, legacy.name) == ('clean_random', 'legacy')
    assert InceptionFeatures().name == 'clean'
    vgg = dict(type='sesim_mmagic.VGG16Features', layers=['relu1_1'])
    assert PooledFeatures(vgg).name == 'vgg16'
    assert PooledFeatures(dict(vgg, pretrained=None, seed=0)).name == 'vgg16_random'
    assert PooledFeatures(dict(vgg, pretrained='hed.pth'), name='vgg16_hed').name == 'vgg16_hed'


def test_is_frozen(clean):
    assert not any(p.requires_grad for p in clean.parameters())
    assert not any(module.training for module in clean.network.modules())
    assert not clean(pictures(1, 3, 20, 20)).requires_grad


@pytest.mark.parametrize('channel_order', ['rgb', 'bgr'])
def test_pooled_features_are_spatial_means(channel_order):
    config = dict(
        type='sesim_mmagic.VGG16Features',
        layers=['relu2_1', 'relu1_2'],
        pretrained=None,
        seed=0,
        width=0.125,
        channel_order=channel_order,
    )
    batch = pictures(2, 3, 12, 10)
    network = PooledFeatures(config)
    found = network(batch)
    assert not network.network.training
    rgb = VGG16Features(config['layers'], pretrained=None, seed=0, width=0.125, channel_order='rgb')
    maps = rgb(batch.float() / 255 * 2 - 1)
    expected = [maps[layer].flatten(2).sum(2) / maps[layer][0, 0].numel() for layer in maps]
    torch.testing.assert_close(found, torch.cat(expected, 1), rtol=1e-4, atol=1e-5)


def test_types_are_registered():
    with DefaultScope.overwrite_default_scope('mmagic'):
        network = MODELS.build(dict(type='sesim_mmagic.InceptionFeatures', resize='legacy'))
    assert network.name == 'legacy'


def test_failed_download_says_where_to_put_the_file(monkeypatch, tmp_path, weights_file):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))

    def offline(*args, **kwargs):
        raise OSError('no route to host')

    monkeypatch.setattr('urllib.request.urlopen', offline)
    network = InceptionFeatures()
    name = os.path.basename(URL_INCEPTION_V3)
    message = rf'{URL_INCEPTION_V3}. .*no route.*{tmp_path}/checkpoints/{name}.*set pretrained'
    with pytest.raises(FileNotFoundError, match=message):
        network(pictures(1, 3, 8, 8))
    os.symlink(weights_file, tmp_path / 'checkpoints' / name)  # as the message says
    network.init_weights()


def test_foreign_weights(tmp_path, weights_file):
    state_dict = torch.load(weights_file, weights_only=True)
    wrong = {'empty': {}, 'shape': {**state_dict, 'fc.weight': torch.zeros(1000, 2048)}}
    for name, content in wrong.items():
        torch.save(content, tmp_path / f'{name}.pth')
        with pytest.raises(ValueError, match=rf"{name}\.pth' do not fit: '(Conv2d_1a_3x3|fc)"):
            InceptionFeatures(pretrained=str(tmp_path / f'{name}.pth')).init_weights()
    (tmp_path / 'broken.pth').write_bytes(b'PK\x03\x04 not a checkpoint')
    with pytest.raises(ValueError, match=r'broken\.pth.*cannot be read'):
        InceptionFeatures(pretrained=str(tmp_path / 'broken.pth')).init_weights()
    with pytest.raises(
        FileNotFoundError, match=r"none\.pth' do not exist; set pretrained.*https://"
    ):
        InceptionFeatures(pretrained=str(tmp_path / 'none.pth')).init_weights()


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(resize='bilinear'), r"resize must be one of \['clean', 'legacy'\], got 'bilinear'"),
        (dict(pretrained=None), 'pretrained=None and a seed'),
        (dict(pretrained='x.pth', seed=0), 'pretrained=None and a seed'),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        InceptionFeatures(**arguments)
