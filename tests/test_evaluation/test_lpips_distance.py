"""LPIPS of two pictures against the lpips package called directly."""

import lpips
import numpy as np
import pytest
import torch
from torchvision.models import alexnet, vgg16

from sesim_mmagic.evaluation import LPIPSDistance


@pytest.fixture(scope='module')
def backbones(tmp_path_factory):
    """Files with state dicts of torchvision's networks, random, without classifiers."""
    folder = tmp_path_factory.mktemp('backbones')
    paths = {}
    for name, network in dict(alex=alexnet, vgg=vgg16).items():
        torch.manual_seed(3)
        # Built on meta and filled here: the classifiers' 100 million weights are not needed.
        with torch.device('meta'):
            features = network(weights=None).features
        features = features.to_empty(device='cpu')
        for parameter in features.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        paths[name] = str(folder / f'{name}.pth')
        torch.save({f'features.{k}': v for k, v in features.state_dict().items()}, paths[name])
    return paths


def pictures(seed=0, shape=(48, 56, 3)):
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 256, shape, dtype=np.uint8)
    second = np.clip(first + rng.normal(0, 40, shape), 0, 255).astype(np.uint8)
    return first, second


def direct(network, first, second):
    """As the package's readme has it: RGB, from [0, 255] to [-1, 1]."""
    with torch.no_grad():
        return network(*[lpips.im2tensor(picture) for picture in (first, second)]).item()


@pytest.mark.parametrize('net', ['alex', 'vgg'])
def test_is_that_of_the_package(net, backbones):
    package = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    weights = torch.load(backbones[net], weights_only=True)
    # The package's slices number the layers as torchvision does.
    package.net.load_state_dict(
        {name: weights['features.' + name.split('.', 1)[1]] for name in package.net.state_dict()}
    )
    distance = LPIPSDistance(net, backbones[net])
    for seed in range(2):
        pair = pictures(seed)
        expected = direct(package, *pair)
        assert expected > 1e-3
        assert distance(*pair) == pytest.approx(expected, rel=1e-5)
        assert distance(*pair) == distance(*reversed(pair))
    assert distance(pair[0], pair[0]) == 0


def test_random_weights_are_those_of_the_seed():
    pair = pictures()
    torch.manual_seed(7)
    package = lpips.LPIPS(net='alex', pnet_rand=True, verbose=False)
    assert LPIPSDistance(pretrained=None, seed=7)(*pair) == pytest.approx(direct(package, *pair))
    values = [LPIPSDistance(pretrained=None, seed=seed)(*pair) for seed in (7, 8, 7)]
    assert values[0] == values[2] != values[1]


def test_training_draws_what_it_would_have_drawn(backbones):
    state = torch.get_rng_state()
    LPIPSDistance(pretrained=None, seed=1)(*pictures())
    LPIPSDistance(pretrained=backbones['alex'])(*pictures())
    assert torch.equal(torch.get_rng_state(), state)


def test_nothing_is_read_before_it_is_needed():
    LPIPSDistance(pretrained='nowhere.pth')
    LPIPSDistance()


def test_no_weights():
    with pytest.raises(FileNotFoundError, match=r"'nowhere\.pth' do not exist; set pretrained"):
        LPIPSDistance(pretrained='nowhere.pth')(*pictures())


def test_no_network(monkeypatch, tmp_path):
    """What somebody on a machine without network is told."""

    def refused(*_, **__):
        raise OSError('no route to host')

    monkeypatch.setattr('urllib.request.urlopen', refused)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    with pytest.raises(FileNotFoundError) as info:
        LPIPSDistance()(*pictures())
    message = str(info.value)
    assert 'https://download.pytorch.org/models/alexnet' in message
    assert f'{tmp_path}/hub/checkpoints/alexnet-' in message
    assert 'no route to host' in message and 'set pretrained to its path' in message


def test_weights_of_another_network(backbones, tmp_path):
    with pytest.raises(ValueError, match=r"vgg\.pth' do not fit: 'features\.3\.weight' is missing"):
        LPIPSDistance('alex', backbones['vgg'])(*pictures())
    torch.save({}, tmp_path / 'empty.pth')
    with pytest.raises(ValueError, match=r"do not fit: 'features\.0\.weight' is missing"):
        LPIPSDistance('alex', str(tmp_path / 'empty.pth'))(*pictures())


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(net='squeeze'), r"net must be one of \['alex', 'vgg'\], got 'squeeze'"),
        (dict(pretrained=None), 'ask for random weights with pretrained=None and a seed'),
        (dict(seed=1), "got pretrained='torchvision', seed=1"),
    ],
)
def test_settings_that_do_not_fit(settings, message):
    with pytest.raises(ValueError, match=message):
        LPIPSDistance(**settings)


def test_pictures_that_are_too_small():
    distance = LPIPSDistance(pretrained=None, seed=0)
    assert distance(*pictures(shape=(32, 32, 3))) > 0
    with pytest.raises(ValueError, match='32 x 32 pixels or more, got 31 x 40'):
        distance(*pictures(shape=(31, 40, 3)))
