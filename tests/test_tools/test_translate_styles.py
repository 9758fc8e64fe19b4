"""A multi-modal model from training to many translations of a picture, by commands."""

import os

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from sesim_mmagic.apis import SeSimInferencer, init_translator
from sesim_mmagic.translators.styles import draw_styles
from tests.test_apis.inference import translated
from tests.test_engine import tiny
from tests.test_tools.test_command_line import fails, tool

MODEL = dict(
    type='sesim_mmagic.MultiModalTranslator',
    generator=dict(
        type='sesim_mmagic.MUNITGenerator', base_channels=4, num_blocks=1, mlp_channels=8,
        style_channels=3, style_downsamplings=2,
    ),
    discriminator=dict(
        type='sesim_mmagic.MultiScaleDiscriminator', base_channels=4, num_layers=2, num_scales=2
    ),
    source_domain='a', target_domain='b', ema=dict(momentum=0.1), num_styles=3,
    data_preprocessor=dict(type='DataPreprocessor'), cycle_weight=1.0,
)  # fmt: skip


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp('styles')
    path = tiny.write_config(
        folder / 'config.py',
        tiny.write_pictures(folder / 'data'),
        train_cfg__max_iters=4,
        default_hooks__checkpoint__max_keep_ckpts=-1,
    )
    cfg = Config.fromfile(path)
    cfg.model = {**MODEL, 'structure_loss': cfg.model.structure_loss}
    cfg.dump(path)
    return path


@pytest.fixture(scope='module')
def trained(config, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('trained')
    tiny.train(config, work_dir)
    return config, work_dir / 'iter_4.pth'


@pytest.fixture(scope='module')
def source(config):
    return Config.fromfile(config).data.data_root + '/testA/0.png'


@pytest.fixture(scope='module')
def reference(tmp_path_factory):
    """A picture of another size than the source."""
    path = tmp_path_factory.mktemp('reference') / 'reference.png'
    pixels = np.random.default_rng(1).integers(0, 256, (45, 22, 3), dtype=np.uint8)
    cv2.imwrite(str(path), pixels)
    return path


def test_training_resumes_bit_for_bit(config, trained, tmp_path):
    broken = tmp_path / 'broken'
    broken.mkdir()
    os.link(trained[1].with_name('iter_2.pth'), broken / 'iter_2.pth')
    (broken / 'last_checkpoint').write_text(str(broken / 'iter_2.pth'))
    tiny.train(config, broken, resume=True)
    tiny.assert_same_state(*(tiny.load(p) for p in (broken / 'iter_4.pth', trained[1])))


def translate(trained, source, out, *argv):
    argv = [source, '--model', trained[1], '--out', out, '--device', 'cpu', *argv]
    assert tool('translate').main([str(a) for a in argv]) == 0
    return [cv2.imread(str(p)) for p in sorted(out.glob('*.png'))]


def expected(trained, source, styles):
    model = init_translator(*trained, device='cpu')
    return translated(model, source, styles=styles)[0]


def assert_same(found, expected):
    assert len(found) == len(expected)
    assert all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))


def test_the_seed_fixes_the_styles(trained, source, tmp_path):
    found = translate(trained, source, tmp_path / 'one', '--styles', 4, '--seed', 5)
    assert found[0].shape == (30, 37, 3)
    assert not any(np.array_equal(found[0], other) for other in found[1:])
    assert_same(found, expected(trained, source, draw_styles(4, 3, seed=5)))
    page = (tmp_path / 'one/index.html').read_text()
    assert all(f'0_{i}.png' in page for i in range(1, 5)) and 'inputs/0.png' in page


def test_styles_of_references_of_any_size(trained, source, reference, tmp_path):
    found = translate(trained, source, tmp_path / 'out', '--reference', reference, source)
    model = init_translator(*trained, device='cpu')
    inferencer = SeSimInferencer(model)
    styles = torch.stack([inferencer.encode_style(path) for path in (reference, source)])
    assert_same(found, expected(trained, source, styles))
    assert not np.array_equal(*found)


def test_interpolation(trained, source, reference, tmp_path):
    options = '--reference', reference, source
    ends = translate(trained, source, tmp_path / 'ends', *options)
    found = translate(trained, source, tmp_path / 'all', *options, '--interpolate', 5)
    assert len(found) == 5
    assert_same([found[0], found[-1]], ends)
    drawn = translate(trained, source, tmp_path / 'drawn', '--interpolate', 3)
    assert_same(drawn[::2], expected(trained, source, draw_styles(2, 3, seed=0)))


def test_a_test_shows_all_translations(trained, config, tmp_path):
    cfg = tiny.load_config(config, tmp_path, load_from=str(trained[1]))
    from mmengine.runner import Runner

    Runner.from_cfg(cfg).test()
    for folder in ('translations', 'translations_2', 'translations_3'):
        assert len(list((tmp_path / 'test' / folder / 'b').glob('*.png'))) == 3
    # Two-sided: the way back has translations of its own.
    assert len(list((tmp_path / 'test/translations/a').glob('*.png'))) == 3


def test_bad_styles(trained, source, reference, tmp_path, capsys):
    def message(*argv):
        return fails(capsys, 'translate', source, '--model', trained[1], '--out', tmp_path, *argv)

    assert '--styles must be positive, got 0' in message('--styles', 0, '--seed', 1)
    assert 'give one of the two' in message('--styles', 2, '--reference', reference)
    assert 'it is a folder' in message('--reference', tmp_path)
    assert 'max_image_pixels is 9' in message('--reference', reference, '--max-image-pixels', 9)
    assert 'between two styles, not 1' in message('--reference', reference, '--interpolate', 3)
    assert 'at least 2' in message('--interpolate', 1)
    for options in ((), ('--reference', reference)):
        assert '--seed fixes the styles that are drawn' in message('--seed', 4, *options)
    assert 'none.png' in message('--reference', tmp_path / 'none.png')
    model = init_translator(*trained, device='cpu')
    with pytest.raises(ValueError, match=r'must have shape \(N, 3\)'):
        translated(model, source, styles=torch.zeros(1, 8))
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_styles(source, reference, tmp_path):
    path = tiny.write_config(tmp_path / 'config.py', tiny.write_pictures(tmp_path / 'data'))
    tiny.train(path, tmp_path / 'work', train_cfg__max_iters=2)
    model = init_translator(path, tmp_path / 'work/iter_2.pth', device='cpu')
    for call in (
        lambda: SeSimInferencer(model).encode_style(reference),
        lambda: translated(model, source, styles=torch.zeros(1, 3)),
    ):
        with pytest.raises(ValueError, match='OneSidedTranslator has no styles'):
            call()
