"""Convolutions with fewer multiplications give what PyTorch's give."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sesim_mmagic.networks import fast_convolutions
from sesim_mmagic.networks.fast_convolutions import FastConvolutions


@pytest.fixture
def calls(monkeypatch):
    """Names of the functions of the module that computed a convolution."""
    names = []

    def noted(function):
        def note(*args):
            names.append(function.__name__)
            return function(*args)

        return note

    for function in (fast_convolutions.convolve_by_tiles, fast_convolutions.convolve_by_columns):
        monkeypatch.setattr(fast_convolutions, function.__name__, noted(function))
    return names


def both(layer, images):
    """What a layer gives in the context and, in float64, without it."""
    with torch.no_grad(), FastConvolutions():
        found = layer(images)
    return found, layer.double()(images.double())


@pytest.mark.parametrize('channels', [(64, 128), (80, 130)])
@pytest.mark.parametrize('shape', [(1, 26, 38), (2, 25, 23), (3, 1, 600)])
@pytest.mark.parametrize('padding', [0, 1, (2, 1)])
def test_3x3_kernels_by_tiles(calls, channels, shape, padding):
    if shape[1] == 1 and padding == 0:
        padding = (1, 0)
    torch.manual_seed(0)
    layer = nn.Conv2d(*channels, 3, padding=padding, bias=padding != 1)
    images = torch.randn(shape[0], channels[0], *shape[1:])
    for layout in (torch.contiguous_format, torch.channels_last):
        found, wanted = both(layer.float(), images.contiguous(memory_format=layout))
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, wanted.float(), atol=3e-5, rtol=0)
    assert calls == ['convolve_by_tiles'] * 2


@pytest.mark.parametrize('chunk', [1, 2**12])
def test_the_size_of_a_chunk_does_not_matter(monkeypatch, chunk):
    monkeypatch.setattr(fast_convolutions, '_CHUNK', chunk)
    found, wanted = both(nn.Conv2d(64, 128, 3), torch.randn(1, 64, 34, 34))
    torch.testing.assert_close(found, wanted.float(), atol=3e-5, rtol=0)


@pytest.mark.parametrize('kernel', [7, (3, 5)])
@pytest.mark.parametrize('padding', [0, (2, 1)])
def test_few_outputs_by_columns(calls, kernel, padding):
    layer = nn.Conv2d(5, 3, kernel, padding=padding, bias=padding == 0)
    found, wanted = both(layer, torch.randn(2, 5, 12, 9))
    torch.testing.assert_close(found, wanted.float(), atol=1e-5, rtol=0)
    assert calls == ['convolve_by_columns']


@pytest.mark.parametrize(
    'layer',
    [
        nn.Conv2d(64, 128, 3, stride=2),
        nn.Conv2d(64, 128, 3, dilation=2),
        nn.Conv2d(64, 128, 3, groups=2),
        nn.Conv2d(64, 128, 3, padding='same'),
        nn.Conv2d(64, 128, 3, dtype=torch.float64),
        nn.Conv2d(32, 128, 3),  # few channels
        nn.Conv2d(128, 64, 3),
        nn.Conv2d(3, 16, 3),
    ],
    ids=str,
)
def test_others_are_computed_as_ever(calls, layer):
    images = torch.randn(1, layer.in_channels, 26, 26, dtype=layer.weight.dtype)
    with torch.no_grad(), FastConvolutions():
        found = layer(images)
    assert torch.equal(found, layer(images)) and calls == []


def test_with_gradients_and_in_half_precision_pytorch_computes(calls):
    layer, images = nn.Conv2d(64, 128, 3), torch.randn(1, 64, 26, 26)
    with FastConvolutions():
        assert torch.equal(layer(images), F.conv2d(images, layer.weight, layer.bias))
        with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
            assert layer(images).dtype == torch.bfloat16
    assert calls == []


def test_kernels_are_transformed_once(monkeypatch):
    count = []
    transform = fast_convolutions.transform_kernels

    def counted(weight):
        count.append(weight)
        return transform(weight)

    monkeypatch.setattr(fast_convolutions, 'transform_kernels', counted)
    layers = nn.Sequential(nn.Conv2d(64, 128, 3), nn.Conv2d(128, 128, 3))
    with torch.no_grad(), FastConvolutions():
        for _ in range(3):
            layers(torch.randn(1, 64, 30, 30))
    assert len(count) == 2
