"""Exported files compute what the model does, describe themselves, and are refused otherwise."""

import hashlib
import json
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from sesim_mmagic.apis.export.exporter import (
    BOUND,
    check_export,
    export_translator,
    load_exported,
    read_export_metadata,
    time_export,
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
SMALL = {**tiny.TINY_RESNET, 'num_downsamplings': 1}
NOISY = {**tiny.TINY_SINGLE_IMAGE['generator'], 'noise': True}
# Name: builder, target domain, multiple that sides are padded to.
MODELS = {
    'one-sided': (lambda: tiny.one_sided(data_preprocessor=RGB, structure_loss=None), 'zebra', 4),
    'averaged': (lambda: averaged(tiny.one_sided(ema=dict(momentum=0.5))), 'zebra', 4),
    'single-image': (lambda: tiny.one_sided(**tiny.TINY_SINGLE_IMAGE), 'zebra', 4),
    'small': (lambda: tiny.one_sided(generator=SMALL), 'zebra', 4),
    'cyclegan': (lambda: averaged(tiny.cyclegan(ema=dict(momentum=0.5))), 'horse', 4),
    'pix2pix': (lambda: tiny.pix2pix(generator=UNET), 'zebra', 32),
    'multi-modal': (lambda: averaged(tiny.multi_modal(ema=dict(momentum=0.5))), 'horse', 4),
    'one-sided styles': (lambda: tiny.multi_modal(two_sided=False), 'zebra', 4),
}


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


def torch_run(path, file_format):
    extra = {KEY: ''}
    if file_format == 'torchscript':
        module = torch.jit.load(str(path), _extra_files=extra)
    else:
        module = torch.export.load(str(path), extra_files=extra).module()

    def run(image, style=None):
        inputs = [torch.from_numpy(one) for one in (image, style) if one is not None]
        return module(*inputs).detach().numpy()

    text = extra[KEY]
    return run, json.loads(text if isinstance(text, str) else text.decode()), module


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    """One exported ONNX file that several tests read, and its model."""
    model, target, _ = make('one-sided')
    path = tmp_path_factory.mktemp('exported') / 'model.onnx'
    export_translator(model, path, 'onnx', target)
    return path, model


NAMES = [name for name in MODELS if name != 'small']
PAIRS = [(name, file_format) for name in NAMES for file_format in ('onnx', 'torchscript')]
# torch.export thinks for seconds about each model: one of them is enough here.
PAIRS.append(('small', 'pt2'))
QUICK = [('one-sided', 'onnx'), ('cyclegan', 'torchscript'), ('small', 'pt2')]


@pytest.mark.parametrize(
    ('name', 'file_format'),
    [pytest.param(*pair, marks=[pytest.mark.quick] * (pair in QUICK)) for pair in PAIRS],
)
def test_translates_as_the_model_does(name, file_format, tmp_path):
    model, target, divisor = make(name)
    path = tmp_path / f'new folder/model.{file_format}'
    said = export_translator(model, path, file_format, target)
    run, metadata, _ = onnx_run(path) if file_format == 'onnx' else torch_run(path, file_format)
    assert metadata == json.loads(json.dumps(said)) == read_export_metadata(path)
    assert metadata['size_divisor'] == divisor and metadata['target_domain'] == target
    assert 0 <= metadata['check']['max_abs_difference'] < 1e-5
    assert [path.name] == [p.name for p in path.parent.iterdir()]

    style = None
    if len(metadata['inputs']) == 2:
        style = np.random.default_rng(0).normal(size=metadata['inputs'][1]['shape'])
        style = style.astype(np.float32)
    sides = [(3 * divisor, 2 * divisor), (4 * divisor, 4 * divisor), (33, 58)]
    for height, width in sides:
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
    found = model.translate(image, target, styles=torch.from_numpy(style))[:, 0]
    return np.round((found[0].permute(1, 2, 0).numpy() * 127.5 + 127.5).clip(0, 255)).astype(int)


def test_says_what_a_stranger_needs(exported):
    path, _ = exported
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
    assert 'Apache-2.0' in metadata['licence'] and metadata['opset'] == 17
    check = metadata['check']
    assert check['bound'] == BOUND == 1e-4
    assert any(h != w and h % 4 and w % 4 for h, w in [*check['sizes'], (33, 58)])
    assert len({tuple(size) for size in check['sizes']}) >= 3
    assert any(height % 4 or width % 4 for height, width in check['sizes'])


def test_the_smallest_side_is_translated(exported):
    path, model = exported
    run, metadata = load_exported(path)
    image = torch.rand(1, 3, metadata['smallest_side'], 40)
    wanted = model.translate(image)
    assert torch.allclose(run(image), wanted, atol=1e-5)


@pytest.mark.parametrize('name', ['one-sided', 'cyclegan', 'multi-modal'])
def test_large_pictures_keep_their_digits(name, tmp_path):
    """Norms of onnxruntime add a picture's pixels up one by one."""
    model, target, _ = make(name)
    export_translator(model, tmp_path / 'm.onnx', 'onnx', target)
    run, metadata = load_exported(tmp_path / 'm.onnx')
    coarse = torch.nn.functional.interpolate(torch.rand(1, 3, 8, 8) * 2 - 1, (768, 768))
    image = (coarse + 0.1 * torch.randn(1, 3, 768, 768)).clamp(-1, 1)
    styles = [torch.randn(1, 3)] * (len(metadata['inputs']) - 1)
    found = run(image, *styles)
    styles = [style.double() for style in styles]
    wanted = next(model.double().translations(image.double(), target, *styles))[:, 0]
    assert (found - wanted).abs().max() < 1.5e-5


@pytest.mark.parametrize('opset', [14, 20])
def test_other_opsets(opset, tmp_path):
    model, target, _ = make('multi-modal')
    assert export_translator(model, tmp_path / 'm.onnx', 'onnx', target, opset=opset)
    (found,) = [
        one.version for one in onnx.load(tmp_path / 'm.onnx').opset_import if not one.domain
    ]
    assert found == opset


def test_torchscript_runs_on_any_device_and_holds_what_it_calls(tmp_path):
    model, target, _ = make('multi-modal')
    export_translator(model, tmp_path / 'm.ts', 'torchscript', target)
    module = torch.jit.load(str(tmp_path / 'm.ts'))
    assert 'value="cpu"' not in str(module.inlined_graph)
    names = {name.split('.')[1] for name in module.state_dict()}
    assert names == {'content_encoder', 'mlp', 'blocks', 'up_path'}
    assert {name.split('.')[0] for name in module.state_dict()} == {'encoder', 'decoder'}


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
    assert check_export(path, model) < 1e-5
    with pytest.raises(Exception, match='(?i)dimension'):
        run(torch.rand(1, 3, 34, 44))


def test_another_model_or_damaged_weights_are_seen(exported, tmp_path):
    path, model = exported
    assert check_export(path, model) < 1e-5
    content = onnx.load(path)
    weight = next(one for one in content.graph.initializer if len(one.dims) == 4)
    values = onnx.numpy_helper.to_array(weight).copy()
    values[0, 0, 0, 0] += 0.5
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    onnx.save(content, tmp_path / 'damaged.onnx')
    assert check_export(tmp_path / 'damaged.onnx', model) > BOUND
    assert check_export(path, tiny.one_sided(data_preprocessor=RGB, structure_loss=None)) > BOUND


class Branching(nn.Module):
    """What a trace cannot hold: it does something else for large images, or another time."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.scale = nn.Parameter(torch.tensor(float('nan') if kind == 'nan' else 0.5))

    def forward(self, images):
        if self.kind == 'size' and images.shape[2] > 100:
            return -self.scale * images
        if self.kind == 'random':
            return images + torch.rand(())
        return self.scale * images


@pytest.mark.parametrize('kind', ['size', 'random', 'nan'])
@pytest.mark.parametrize('file_format', ['onnx', 'torchscript'])
def test_a_file_that_differs_is_not_written(kind, file_format, tmp_path):
    model = tiny.one_sided()
    model.generators['zebra'] = Branching(kind)
    path = tmp_path / 'm'
    path.write_text('earlier')
    with pytest.raises(ValueError, match='was not written.*differ by up to'):
        export_translator(model.eval(), path, file_format)
    assert path.read_text() == 'earlier' and len(list(tmp_path.iterdir())) == 1


def test_a_generator_that_cannot_be_exported(tmp_path):
    class Doubling(nn.Module):
        def forward(self, images):
            return torch.cat([images, images], 3)

    model = tiny.cyclegan().eval()
    model.generators['zebra'] = Doubling()
    with pytest.raises(ValueError, match='Doubling gives no image'):
        export_translator(model, tmp_path / 'm', 'onnx')

    class Numpy(nn.Module):
        def forward(self, images):
            return torch.linalg.eigvals(images[..., :3, :3]).real.sum() + images

    model = tiny.one_sided().eval()
    model.generators['zebra'] = Numpy()
    with pytest.raises(ValueError, match='OneSidedTranslator cannot be exported to onnx: .*eig'):
        export_translator(model, tmp_path / 'm', 'onnx')
    assert not list(tmp_path.iterdir())


def test_requests_that_are_refused(exported, tmp_path, monkeypatch):
    model = exported[1]

    def refused(match, path=tmp_path / 'm', file_format='onnx', error=ValueError, **kwargs):
        with pytest.raises(error, match=match):
            export_translator(model, path, file_format, **kwargs)

    refused("one of onnx, torchscript, pt2, got 'tflite'", file_format='tflite')
    refused("not 'horse'", target_domain='horse')
    refused('from 14 to 20, got 9', opset=9)
    refused('larger than 4', size=(4, 40))
    (tmp_path / 'file').touch()
    refused("'.*file/m' cannot be written", path=tmp_path / 'file/m')
    refused('cannot be written: it is a folder', path=tmp_path)
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    refused(r"onnxruntime.*pip install 'sesim_mmagic\[export\]'", error=ImportError)
    assert [p.name for p in tmp_path.iterdir()] == ['file']


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match='gone'):
        load_exported(tmp_path / 'gone')
    (tmp_path / 'text').write_text('no protobuf')
    torch.jit.save(torch.jit.script(nn.ReLU()), tmp_path / 'other.ts')
    for name in ('text', 'other.ts'):
        with pytest.raises(ValueError, match=f"{name}' is no file of export_translator"):
            load_exported(tmp_path / name)


def test_times_are_positive_and_threads_are_put_back(exported):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert min(time_export(*exported, size=(32, 40), runs=2)) > 0
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_command_line(tmp_path, capsys):
    config = dict(
        type='sesim_mmagic.OneSidedTranslator', generator=tiny.TINY_RESNET, discriminator=None,
        source_domain='horse', target_domain='zebra',
        data_preprocessor=dict(type='DataPreprocessor'),
    )  # fmt: skip
    text = f'default_scope = "mmagic"\nmodel = {config!r}\n'
    checkpoint, out = tmp_path / 'weights.pth', tmp_path / 'out/m.onnx'
    weights = tiny.build(config).state_dict()
    torch.save(dict(meta=dict(cfg=text), state_dict=weights), checkpoint)
    common = ['--model', str(checkpoint), '--out', str(out), '--format']
    tool('export').main([*common, 'onnx', '--time'])
    said = capsys.readouterr().out
    metadata = read_export_metadata(out)
    assert f'{metadata["check"]["max_abs_difference"]:.2g} (64 x 64, ' in said
    assert 'horse to zebra' in said and 'One CPU thread: PyTorch' in said
    assert metadata['checkpoint'] == 'weights.pth'
    assert metadata['checkpoint_sha256'] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert 'tflite' in fails(capsys, 'export', *common, 'tflite')
    assert '--overwrite' in fails(capsys, 'export', *common, 'onnx')
    gone = ['onnx', '--overwrite', '--model', 'gone.pth']
    assert 'gone.pth' in fails(capsys, 'export', *common, *gone)
