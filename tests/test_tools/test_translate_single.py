"""From two pictures to a translation by one command."""

import json
import shutil

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from sesim_mmagic.engine import ResumableIterTrainLoop
from tests.test_engine import tiny
from tests.test_tools.test_command_line import TOOLS, fails, tool

CONFIG = TOOLS.parent / 'configs/single_image/fsesim_stylegan2-w4_1xb8-4kiters_pair.py'
SMALL = {
    'model.generator.base_channels': 4,
    'model.generator.num_blocks': 2,
    'model.discriminator.base_channels': 4,
    'model.discriminator.size': 16,
    'model.structure_loss.feature_net.width': 0.125,
    'train_dataloader.dataset.crop_size': 16,
    'train_dataloader.dataset.crops_per_zoom': 2,
    'train_dataloader.batch_size': 2,
    'max_iters': 8,  # a variable of the file
    'train_cfg.max_iters': 8,
    'train_cfg.val_interval': 4,
    'param_scheduler.begin': 4,
    'param_scheduler.end': 8,
    'default_hooks.checkpoint.interval': 4,
    'default_hooks.checkpoint.max_keep_ckpts': -1,
    'default_hooks.fixed_inputs.interval': 8,
}


@pytest.fixture(autouse=True)
def runs_of_their_own():
    """MMEngine shares loggers and scopes between runners of one process."""
    yield
    DefaultScope._instance_dict.clear()


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """Config, source (37 x 50), style image (70 x 45)."""
    folder = tmp_path_factory.mktemp('single')
    cfg = Config.fromfile(CONFIG)
    cfg.merge_from_dict(SMALL)
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        evaluator[0].loss.feature_net.width = 0.125
    cfg.dump(folder / 'config.py')
    rng = np.random.default_rng(0)
    for name, shape in (('source', (37, 50, 3)), ('style_image', (70, 45, 3))):
        cv2.imwrite(str(folder / f'{name}.png'), rng.integers(0, 256, shape, dtype=np.uint8))
    return folder / 'config.py', folder / 'source.png', folder / 'style_image.png'


def translate(files, out, *argv):
    config, source, style_image = files
    tool('translate_single').main(
        [str(source), str(style_image), '--out', str(out), '--config', str(config), *map(str, argv)]
    )
    return out


@pytest.fixture(scope='module')
def done(files, tmp_path_factory):
    return translate(files, tmp_path_factory.mktemp('done') / 'out')


def test_the_whole_picture_is_translated_and_scored(done):
    assert cv2.imread(str(done / 'translation.png')).shape == (37, 50, 3)
    shown = [cv2.imread(str(done / f'validations/{i}/style/source.png')) for i in (4, 8)]
    assert np.array_equal(shown[1], cv2.imread(str(done / 'translation.png')))
    assert not np.array_equal(*shown)
    results = json.loads((done / 'results.json').read_text())
    (test,) = results['tests']
    assert {'structure/distance', 'patch/swd'} <= set(test['metrics'])
    assert (done / 'report.html').is_file()


def test_the_same_command_goes_on_where_it_was_interrupted(files, done, tmp_path):
    broken = tmp_path / 'broken'
    broken.mkdir()
    shutil.copy(done / 'iter_4.pth', broken)
    shutil.copy(done / 'pictures.json', broken)
    (broken / 'last_checkpoint').write_text(str(broken / 'iter_4.pth'))
    translate(files, broken)
    assert not (broken / 'validations/4').exists(), 'it began anew'
    tiny.assert_same_state(*(tiny.load(folder / 'iter_8.pth') for folder in (done, broken)))
    whole, resumed = (cv2.imread(str(f / 'translation.png')) for f in (done, broken))
    assert np.array_equal(whole, resumed)


def test_a_finished_folder_is_only_touched_when_asked(files, done, tmp_path, capsys):
    config, source, style_image = files
    folder = tmp_path / 'again'
    shutil.copytree(done, folder)
    argv = (source, style_image, '--config', config, '--out', folder)
    message = fails(capsys, 'translate_single', *argv)
    assert 'holds the translation of these pictures' in message
    assert '--resume' in message and '--overwrite' in message
    # Interrupted in its test: it only translates again.
    (folder / 'translation.png').unlink()
    translate(files, folder)
    assert torch.equal(
        *(torch.from_numpy(cv2.imread(str(f / 'translation.png'))) for f in (done, folder))
    )
    assert not list(folder.glob('iter_1?.pth'))
    without = '--cfg-options', 'default_hooks.fixed_inputs=None'
    translate(files, folder, '--overwrite', '--iterations', 4, *without)
    assert sorted(p.name for p in folder.glob('iter_*.pth')) == ['iter_2.pth', 'iter_4.pth']
    assert sorted(p.name for p in (folder / 'validations').iterdir()) == ['2', '4']


def test_the_schedule_follows_the_number_of_iterations(files, tmp_path):
    out = translate(files, tmp_path / 'out', '--iterations', 4)
    assert [p.name for p in sorted((out / 'validations').iterdir())] == ['2', '4']
    checkpoint = tiny.load(out / 'iter_4.pth')
    rates = [group['lr'] for group in checkpoint['optimizer']['generators']['param_groups']]
    assert rates == [pytest.approx(0, abs=1e-9)]


def test_errors_come_before_the_training(files, done, tmp_path, capsys, monkeypatch):
    config, source, style_image = files
    monkeypatch.setattr(ResumableIterTrainLoop, 'run', lambda *_: pytest.fail('it trains'))
    options = ('--config', config, '--out', tmp_path / 'out')

    def message(*argv):
        return fails(capsys, 'translate_single', *argv)

    assert f"'{style_image}', or these files changed" in message(
        style_image, source, '--config', config, '--out', done
    )
    assert 'does not exist' in message(tmp_path / 'none.png', style_image, *options)
    assert "Config '/nowhere.py' does not exist" in message(
        source, style_image, '--config', '/nowhere.py', '--out', tmp_path
    )
    cv2.imwrite(str(tmp_path / 'tiny.png'), np.zeros((9, 40, 3), np.uint8))
    assert 'tiny.png' in message(tmp_path / 'tiny.png', style_image, *options)
    shutil.copy(source, tmp_path / 'same.png')
    assert 'same pixels' in message(source, tmp_path / 'same.png', *options)
    assert 'must be positive, got 0' in message(source, style_image, *options, '--iterations', 0)
    other = TOOLS.parent / 'configs/fsesim/fsesim_resnet-w24_1xb4-500iters_shapes64.py'
    assert 'take one of configs/single_image' in message(
        source, style_image, '--config', other, '--out', tmp_path / 'out'
    )
    for setting in ('load_form=x', 'model.buffer_sze=3'):
        found = message(source, style_image, *options, '--cfg-options', setting)
        assert 'did you mean' in found
    assert not (tmp_path / 'out').exists()
    (tmp_path / 'last_checkpoint').write_text('x.pth')
    argv = source, style_image, '--config', config, '--out', tmp_path
    assert 'holds another training' in message(*argv)
    note = tmp_path / 'pictures.json'
    for content, problem in (
        ('{"source": ', 'it is not JSON'),
        ('[3]', 'it should be a mapping, but is [3]'),
        ('{"source": {"path": "a"}}', 'it lacks style_image'),
        (
            '{"source": {"path": "a", "sha256": 3}, "style_image": {}}',
            'source.sha256 should be text',
        ),
    ):
        note.write_text(content)
        found = message(*argv)
        assert f"'{note}' does not say" in found and problem in found
