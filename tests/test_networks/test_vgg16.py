import pytest
import torch
from torchvision.models.vgg import cfgs, make_layers

from sesim_mmagic.networks import VGG16Features
from sesim_mmagic.networks.vgg16 import IMAGENET_MEAN, IMAGENET_STD, LAYERS

# Index of each ReLU in torchvision's `vgg16().features`.
RELU_INDEX = (1, 3, 6, 8, 11, 13, 15, 18, 20, 22, 25, 27, 29)


@pytest.fixture(scope='module')
def torchvision_features():
    torch.manual_seed(0)
    return make_layers(cfgs['D']).eval()


@pytest.fixture(scope='module')
def weights_file(torchvision_features, tmp_path_factory):
    path = tmp_path_factory.mktemp('weights') / 'vgg16.pth'
    state_dict = {f'features.{k}': v for k, v in torchvision_features.state_dict().items()}
    torch.save({**state_dict, 'classifier.0.weight': torch.zeros(2)}, path)
    return str(path)


@pytest.mark.parametrize('channel_order', ['rgb', 'bgr'])
def test_agrees_with_torchvision(torchvision_features, weights_file, channel_order):
    rgb = torch.rand(2, 3, 32, 48)
    images = 2 * rgb - 1
    images = images.flip(1) if channel_order == 'bgr' else images
    network = VGG16Features(LAYERS, pretrained=weights_file, channel_order=channel_order)
    x = (rgb - torch.tensor(IMAGENET_MEAN)[:, None, None]) / torch.tensor(IMAGENET_STD)[
        :, None, None
    ]
    expected = {}
    with torch.no_grad():
        found = network(images)
        for index, layer in enumerate(torchvision_features):
            x = layer(x)
            if index in RELU_INDEX:
                # torchvision's next ReLU works in place
                expected[LAYERS[RELU_INDEX.index(index)]] = x.clone()
    assert list(found) == list(LAYERS)
    for layer in LAYERS:
        torch.testing.assert_close(found[layer], expected[layer], rtol=1e-4, atol=1e-5)


def test_stops_at_the_deepest_layer():
    network = VGG16Features(['relu3_1', 'relu2_2'], pretrained=None, seed=0)
    shapes = {k: tuple(v.shape) for k, v in network(torch.zeros(1, 3, 16, 24)).items()}
    assert shapes == {'relu3_1': (1, 256, 4, 6), 'relu2_2': (1, 128, 8, 12)}
    assert [n for n, _ in network.network.named_buffers() if 'weight' in n] == [
        f'{i}.weight' for i in (0, 2, 5, 7, 10)
    ]
    assert network.out_channels == {'relu3_1': 256, 'relu2_2': 128}


def test_is_frozen_and_leaves_no_trace_in_checkpoints():
    network = VGG16Features('relu1_2', pretrained=None, seed=0, width=0.125)
    images = torch.zeros(1, 3, 8, 8, requires_grad=True)
    network(images)['relu1_2'].sum().backward()
    assert list(network.parameters()) == []
    assert network.state_dict() == {}
    assert images.grad.abs().sum() > 0


def test_random_weights_follow_their_seed():
    images = torch.rand(1, 3, 8, 8)
    outputs = [
        VGG16Features('relu1_2', pretrained=None, seed=seed, width=0.125)(images)['relu1_2']
        for seed in (1, 1, 2)
    ]
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.allclose(outputs[0], outputs[2])


def test_weights_are_read_when_first_needed(tmp_path):
    """A model that only translates is built without them; a training fails at its start."""
    network = VGG16Features('relu1_1', pretrained=str(tmp_path / 'none.pth'))
    with pytest.raises(FileNotFoundError, match=r'none\.pth.*set pretrained'):
        network.init_weights()
    with pytest.raises(FileNotFoundError, match='none.pth'):
        network(torch.zeros(1, 3, 8, 8))


def test_failed_download_says_where_to_put_the_file(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))

    def offline(*args, **kwargs):
        raise OSError('no route to host')

    monkeypatch.setattr('urllib.request.urlopen', offline)
    with pytest.raises(FileNotFoundError, match=rf'{tmp_path}/checkpoints/vgg16-.*\.pth'):
        VGG16Features('relu1_1').init_weights()


def test_foreign_weights(tmp_path):
    torch.save({'conv.weight': torch.zeros(3)}, tmp_path / 'other.pth')
    (tmp_path / 'broken.pth').write_bytes(b'PK\x03\x04 not a checkpoint')
    with pytest.raises(ValueError, match=r'other\.pth.*features\.0\.weight'):
        VGG16Features('relu1_1', pretrained=str(tmp_path / 'other.pth')).init_weights()
    with pytest.raises(ValueError, match=r'broken\.pth.*cannot be read'):
        VGG16Features('relu1_1', pretrained=str(tmp_path / 'broken.pth')).init_weights()


@pytest.mark.parametrize(
    'arguments, message',
    [
        (
            dict(layers='relu6_1', pretrained=None, seed=0),
            r"layers must be among .* got \['relu6_1'\]",
        ),
        (dict(layers=(), pretrained=None, seed=0), 'layers must name'),
        (dict(layers='relu1_1', pretrained=None), 'pretrained=None and a seed'),
        (dict(layers='relu1_1', pretrained='x.pth', seed=0), 'pretrained=None and a seed'),
        (dict(layers='relu1_1', pretrained='x.pth', width=0.5), 'width must be'),
        (dict(layers='relu1_1', channel_order='gbr'), 'channel_order must be'),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        VGG16Features(**arguments)


@pytest.mark.parametrize('shape', [(1, 1, 16, 16), (3, 16, 16), (1, 3, 3, 16)])
def test_bad_images(shape):
    network = VGG16Features('relu3_1', pretrained=None, seed=0, width=0.125)
    with pytest.raises(ValueError, match='at least 4 for relu3_1'):
        network(torch.zeros(shape))
