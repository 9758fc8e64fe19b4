"""Exported files compute what the model does, describe themselves, and are refused otherwise."""

import functools
import hashlib
import json
import logging
import sys
from copy import deepcopy

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from sesim_mmagic.apis.export.exporter import (
    BOUND,
    export_translator,
    load_exported,
)
from tests.test_apis import inference
from tests.test_tools.test_command_line import fails, tool
from tests.test_translators import tiny

KEY = 'sesim_mmagic.json'
RGB = dict(type='DataPreprocessor', output_channel_order='RGB', mean=[120, 110, 100], std=[60] * 3)
UNET = dict(
    type='UnetGenerator', in_channels=3, out_channels=3, num_down=5, base_channels=2,
    norm_cfg=dict(type='BN'), use_dropout=True,
)  # fmt: skip
NOISY = {**tiny.TINY_SINGLE_IMAGE['generator'], 'noise': True}
EMA = dict(momentum=0.5)
SMALL = {**tiny.TINY_RESNET, 'num_blocks': 0, 'num_downsamplings': 0}
# Name: builder, target domain, multiple that sides are padded to.
MODELS = {
    'one-sided': (
        lambda: averaged(tiny.one_sided(data_preprocessor=RGB, structure_loss=None, ema=EMA)),
        'zebra',
        4,
    ),
    'cyclegan': (lambda: averaged(tiny.cyclegan(ema=EMA)), 'horse', 4),
    'pix2pix': (lambda: tiny.pix2pix(generator=UNET), 'zebra', 32),
    'multi-modal': (lambda: averaged(tiny.multi_modal(ema=EMA)), 'horse', 4),
}
# Each model becomes one file: an export takes seconds.
ONNX = ('one-sided', 'cyclegan', 'multi-modal')


def averaged(model):
    """A model whose moving average and generators translate unlike each other."""
    for parameter in model.generator_ema.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model


def make(name):
    build, target, divisor = MODELS[name]
    model = build()
    for parameter in model.generators.parameters():
        if parameter.ndim == 1:  # biases and scales that are not all alike
            parameter.data += 0.2 * torch.randn_like(parameter)
    return model.eval(), target, divisor


def picture(height, width):
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def by_the_book(run, metadata, pixels, style=None):
    """Translate 8-bit BGR pixels as the metadata says, in NumPy; 8-bit BGR."""
    mean, std = (np.array(metadata[f'pixel_{key}'], np.float64) for key in ('mean', 'std'))
    flip = metadata['inputs'][0]['channel_order'] == 'RGB'
    image = (pixels[..., ::-1] if flip else pixels).astype(np.float64)
    image = ((image - mean) / std).transpose(2, 0, 1)[None].astype(np.float32)
    found = np.asarray(run(image, style), np.float64)[0].transpose(1, 2, 0) * std + mean
    found = np.round(found.clip(0, 255)).astype(np.uint8)
    return found[..., ::-1] if flip else found


def onnx_run(path):
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])

    def run(image, style=None):
        inputs = {'image': image} if style is None else {'image': image, 'style': style}
        return session.run(['translation'], inputs)[0]

    return run, json.loads(session.get_modelmeta().custom_metadata_map[KEY]), session


def torch_run(path):
    extra = {KEY: ''}
    module = torch.export.load(str(path), extra_files=extra).module()

    def run(image, style=None):
        inputs = [torch.from_numpy(value) for value in (image, style) if value is not None]
        return module(*inputs).detach().numpy()

    return run, json.loads(extra[KEY]), module


@pytest.fixture(scope='module', autouse=True)
def untraced():
    """Keep pytest from capturing each step of PyTorch's exporter, which doubles its time."""
    logger = logging.getLogger('torch.__trace')
    logger.propagate = False
    yield
    logger.propagate = True


@pytest.fixture(scope='module')
def export(tmp_path_factory):
    """A function that exports a model once and gives the file, what was said of it, the model."""
    folder = tmp_path_factory.mktemp('exported')

    @functools.cache
    def export(name):
        model, target, _ = make(name)
        path = folder / name / ('model.onnx' if name in ONNX else 'model.pt2')
        return path, export_translator(model, path, path.suffix[1:], target), model

    return export


@pytest.mark.parametrize('name', MODELS)
def test_translates_as_the_model_does(name, export):
    (path, said, model), (_, target, divisor) = export(name), MODELS[name]
    run, metadata, _ = onnx_run(path) if name in ONNX else torch_run(path)
    assert metadata == json.loads(json.dumps(said)) == load_exported(path)[1]
    assert metadata['size_divisor'] == divisor and metadata['target_domain'] == target
    assert 0 <= metadata['check']['max_abs_difference'] < 1e-5
    assert [path.name] == [p.name for p in path.parent.iterdir()]

    style = None
    if len(metadata['inputs']) == 2:
        style = np.random.default_rng(0).normal(size=metadata['inputs'][1]['shape'])
        style = style.astype(np.float32)
    for height, width in [(3 * divisor, 2 * divisor), (33, 58)]:
        pixels = picture(height, width)
        found = by_the_book(run, metadata, pixels, style)
        wanted = translated(model, pixels, target, style)
        assert found.shape == (height, width, 3)
        # Half a level may be rounded up here and down there.
        assert np.abs(found.astype(int) - wanted).max() <= 1
        assert (found != wanted).mean() < 0.01


def translated(model, pixels, target, style):
    if style is None:
        return inference.translated(model, pixels, target)[0]
    image = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None] / 127.5 - 1
    found = model.translate(image, target, torch.from_numpy(style))[:, 0]
    return np.round((found[0].permute(1, 2, 0).numpy() * 127.5 + 127.5).clip(0, 255)).astype(int)


def test_says_what_a_stranger_needs(export):
    path, _, _ = export('one-sided')
    _, metadata, session = onnx_run(path)
    (image,), (translation,) = session.get_inputs(), session.get_outputs()
    assert image.shape == translation.shape == [1, 3, 'height', 'width']
    assert image.type == 'tensor(float)'
    assert metadata['inputs'][0]['shape'] == [1, 3, 'height', 'width']
    assert metadata['inputs'][0]['channel_order'] == 'RGB'
    assert metadata['pixel_mean'] == [120, 110, 100] and metadata['pixel_std'] == [60] * 3
    assert (metadata['source_domain'], metadata['smallest_side']) == ('horse', 5)
    assert metadata['versions']['onnxruntime'] == onnxruntime.__version__
    assert set(metadata['versions']) >= {'sesim_mmagic', 'mmagic', 'torch', 'onnx'}
    assert 'Apache-2.0' in metadata['licence'] and metadata['opset'] == 18
    check = metadata['check']
    assert check['bound'] == BOUND == 1e-4
    assert len({tuple(size) for size in check['sizes']}) >= 3
    assert any(height % 4 or width % 4 for height, width in check['sizes'])


def test_the_smallest_side_is_translated(export):
    path, _, model = export('one-sided')
    run, metadata = load_exported(path)
    image = torch.rand(1, 3, metadata['smallest_side'], 40)
    assert torch.allclose(run(image), model.translate(image), atol=1e-5)


@pytest.mark.parametrize('name', ['cyclegan', 'multi-modal'])
def test_large_pictures_keep_their_digits(name, export):
    """Norms of onnxruntime add a picture's pixels up one by one."""
    path, said, model = export(name)
    run, metadata = load_exported(path)
    coarse = torch.nn.functional.interpolate(torch.rand(1, 3, 8, 8) * 2 - 1, (768, 768))
    image = (coarse + 0.1 * torch.randn(1, 3, 768, 768)).clamp(-1, 1)
    styles = [torch.randn(1, 3)] * (len(metadata['inputs']) - 1)
    found = run(image, *styles)
    styles = [style.double() for style in styles]
    exact = deepcopy(model).double().translate(image.double(), said['target_domain'], *styles)
    assert (found - exact.reshape(found.shape)).abs().max() < 1.5e-5


def test_another_opset(tmp_path):
    model = tiny.one_sided()
    model.generators['zebra'] = nn.Conv2d(3, 3, 1)
    export_translator(model, tmp_path / 'm.onnx', 'onnx', opset=21)
    content = onnx.load(tmp_path / 'm.onnx')
    assert [entry.version for entry in content.opset_import if not entry.domain] == [21]


def test_noise_needs_a_size(tmp_path):
    model = tiny.one_sided(**{**tiny.TINY_SINGLE_IMAGE, 'generator': NOISY}).eval()
    for name, parameter in model.generators.named_parameters():
        if name.endswith('noise_weight'):
            parameter.data.fill_(0.7)
    path = tmp_path / 'm.onnx'
    with pytest.raises(ValueError, match='--size HEIGHT WIDTH'):
        export_translator(model, path, 'onnx')
    assert export_translator(model, path, 'onnx', size=(34, 45))['fixed_size'] == [34, 45]
    run, metadata = load_exported(path)
    image = torch.rand(1, 3, 34, 45)
    assert torch.allclose(run(image), model.translate(image), atol=1e-5)
    assert metadata['inputs'][0]['shape'] == [1, 3, 34, 45]
    with pytest.raises(Exception, match='(?i)dimension'):
        run(torch.rand(1, 3, 34, 44))


class Different(nn.Module):
    """What a trace cannot hold: it does something else another time."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.scale = nn.Parameter(torch.tensor(float('nan') if kind == 'nan' else 0.5))

    def forward(self, images):
        if self.kind == 'random':
            return images + torch.rand(())
        return self.scale * images


@pytest.mark.parametrize(
    'kind, file_format', [('random', 'onnx'), ('random', 'pt2'), ('nan', 'pt2')]
)
def test_a_file_that_differs_is_not_written(kind, file_format, tmp_path):
    model = tiny.one_sided()
    model.generators['zebra'] = Different(kind)
    path = tmp_path / 'm'
    path.write_text('earlier')
    with pytest.raises(ValueError, match='was not written.*differ from .* by up to'):
        export_translator(model.eval(), path, file_format)
    assert path.read_text() == 'earlier' and len(list(tmp_path.iterdir())) == 1


def test_a_generator_that_cannot_be_exported(tmp_path):
    class Numpy(nn.Module):
        def forward(self, images):
            return torch.linalg.eigvals(images[..., :3, :3]).real.sum() + images

    model = tiny.one_sided().eval()
    model.generators['zebra'] = Numpy()
    with pytest.raises(ValueError, match='OneSidedTranslator cannot be exported to onnx: .*eig'):
        export_translator(model, tmp_path / 'm', 'onnx')
    assert not list(tmp_path.iterdir())


def test_requests_that_are_refused(tmp_path, monkeypatch):
    model = tiny.one_sided()

    def refused(match, path=tmp_path / 'm', file_format='onnx', error=ValueError, **kwargs):
        with pytest.raises(error, match=match):
            export_translator(model, path, file_format, **kwargs)

    refused("one of onnx, pt2, got 'tflite'", file_format='tflite')
    refused("not 'horse'", target_domain='horse')
    refused('from 18 to 22, got 9', opset=9)
    refused('larger than 4', size=(4, 40))
    (tmp_path / 'file').touch()
    refused('file', path=tmp_path / 'file/m', error=OSError)
    refused('cannot be written: it is a folder', path=tmp_path, error=OSError)
    monkeypatch.setitem(sys.modules, 'onnxscript', None)
    refused(r"onnxscript.*pip install 'sesim_mmagic\[export\]'", error=ImportError)
    assert [p.name for p in tmp_path.iterdir()] == ['file']


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match='gone'):
        load_exported(tmp_path / 'gone')
    (tmp_path / 'text').write_text('no protobuf')
    torch.save({}, tmp_path / 'other.pt2')
    for name in ('text', 'other.pt2'):
        with pytest.raises(ValueError, match=f"{name}' is not a file of export_translator"):
            load_exported(tmp_path / name)


def test_command_line(tmp_path, capsys):
    config = dict(
        type='sesim_mmagic.OneSidedTranslator', generator=SMALL, discriminator=None,
        source_domain='horse', target_domain='zebra',
        data_preprocessor=dict(type='DataPreprocessor'),
    )  # fmt: skip
    text = f'default_scope = "mmagic"\nmodel = {config!r}\n'
    checkpoint, out = tmp_path / 'weights.pth', tmp_path / 'out/m.pt2'
    weights = tiny.build(config).state_dict()
    torch.save(dict(meta=dict(cfg=text), state_dict=weights), checkpoint)
    common = ['--model', str(checkpoint), '--out', str(out), '--format']
    tool('export').main([*common, 'pt2', '--time'])
    said = capsys.readouterr().out
    metadata = load_exported(out)[1]
    assert f'{metadata["check"]["max_abs_difference"]:.2g} (64 x 64, ' in said
    assert 'horse to zebra' in said and 'One CPU thread: PyTorch' in said
    assert metadata['checkpoint'] == 'weights.pth'
    assert metadata['checkpoint_sha256'] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert 'tflite' in fails(capsys, 'export', *common, 'tflite')
    assert '--overwrite' in fails(capsys, 'export', *common, 'pt2')
    gone = ['pt2', '--overwrite', '--model', 'gone.pth']
    assert 'gone.pth' in fails(capsys, 'export', *common, *gone)
