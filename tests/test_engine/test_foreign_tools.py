"""The checks hold under MMagic's own tools, whatever hooks a config has."""

import math
import runpy
import sys
from pathlib import Path

import mmagic
import pytest
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from tests.test_engine import tiny

TOOLS = Path(mmagic.__file__).parent / '.mim/tools'
OWN_HOOKS = [dict(type='EmptyCacheHook')]


@HOOKS.register_module(force=True)
class SpoilLoss(Hook):
    """Makes a loss NaN at iteration 4, when a checkpoint is due."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 3:
            runner.model.structure_loss.loss_weight = math.nan


@HOOKS.register_module(force=True)
class InterruptAt(Hook):
    """Ends a training at iteration 3."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == 2:
            raise KeyboardInterrupt


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return tiny.write_pictures(tmp_path_factory.mktemp('foreign') / 'data')


@pytest.fixture
def mmagic_tool(monkeypatch, tmp_path, data):
    """Runs one of MMagic's tools with a config of these settings."""

    def run(name, *arguments, **settings):
        settings = {'custom_hooks': OWN_HOOKS, **settings}
        # Runners of one name share the message hub.
        config = tmp_path / f'{name}_{len(list(tmp_path.glob("*.py")))}.py'
        tiny.write_config(config, data, **settings)
        monkeypatch.setattr(sys, 'argv', [name, str(config), *map(str, arguments)])
        runpy.run_path(str(TOOLS / f'{name}.py'), run_name='__main__')

    return run


def test_training_resumes_bit_for_bit(mmagic_tool, data, tmp_path):
    tiny.train(tiny.write_config(tmp_path / 'whole.py', data), tmp_path / 'whole')
    broken = tmp_path / 'broken'
    with pytest.raises(KeyboardInterrupt):
        mmagic_tool('train', '--work-dir', broken, custom_hooks=[dict(type='InterruptAt')])
    with pytest.raises(ValueError, match='holds a training .*--resume.*--overwrite'):
        mmagic_tool('train', '--work-dir', broken)
    mmagic_tool('train', '--work-dir', broken, '--resume')
    tiny.assert_same_state(
        *(tiny.load(folder / 'iter_6.pth') for folder in (tmp_path / 'whole', broken))
    )


def test_a_loss_that_is_no_number_stops_the_training(mmagic_tool, tmp_path):
    hooks = [*OWN_HOOKS, dict(type='SpoilLoss')]
    with pytest.raises(RuntimeError, match="Iteration 4: 'loss_structure' is nan"):
        mmagic_tool('train', '--work-dir', tmp_path / 'work', custom_hooks=hooks)
    assert [p.name for p in (tmp_path / 'work').glob('*.pth*')] == ['iter_2.pth']


def test_checkpoints_of_another_model_and_second_tests_are_refused(mmagic_tool, tmp_path):
    mmagic_tool('train', '--work-dir', tmp_path / 'work', train_cfg__max_iters=2)
    checkpoint = tmp_path / 'work/iter_2.pth'
    with pytest.raises(ValueError, match='is not one of this OneSidedTranslator.*has shape'):
        mmagic_tool(
            'test', checkpoint, '--work-dir', tmp_path / 'x', model__generator__base_channels=6
        )
    mmagic_tool('test', checkpoint, '--work-dir', tmp_path / 'test')
    with pytest.raises(ValueError, match='holds the 7 files of a test'):
        mmagic_tool('test', checkpoint, '--work-dir', tmp_path / 'test')


@pytest.mark.parametrize(
    'hook',
    [
        dict(type='EMAHook'),
        dict(type='SyncBuffersHook'),
        dict(type='IterTimerHook'),
        dict(type='PickleDataHook', output_dir='pkl', data_name_list=['fake']),
    ],
    ids=lambda hook: hook['type'],
)
def test_hooks_on_the_whole_model_work(data, tmp_path, hook):
    config = tiny.write_config(tmp_path / 'config.py', data)
    cfg = tiny.load_config(config, tmp_path)
    validation = dict(
        val_dataloader=cfg.test_dataloader,
        val_cfg=dict(type='ValLoop'),
        val_evaluator=cfg.test_evaluator,
        train_cfg__val_interval=2,
        log_processor__window_size=2,
        custom_hooks=[hook],
    )
    runner = tiny.train(config, tmp_path / 'work', train_cfg__max_iters=4, **validation)
    assert runner.model.image_buffers['b'].images.shape == (3, 3, 24, 24)
    tiny.train(config, tmp_path / 'work', resume=True, **validation)


@pytest.mark.parametrize(
    'hook',
    [
        dict(type='EMAHook', update_buffers=True),
        dict(type='EMAHook', begin_iter=3),
        dict(type='ExponentialMovingAverageHook', module_keys='generators_ema', interval=1),
    ],
    ids=['buffers', 'late', "MMagic's"],
)
def test_hooks_that_cannot_work_are_refused(data, tmp_path, hook):
    config = tiny.write_config(tmp_path / 'config.py', data)
    with pytest.raises(ValueError, match=r'model=dict\(ema=dict\(momentum=...\)\)'):
        tiny.train(config, tmp_path / 'work', custom_hooks=[hook])
    assert not list((tmp_path / 'work').glob('*.pth'))
