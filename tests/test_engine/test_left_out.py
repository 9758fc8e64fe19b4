"""Trainings that leave pictures out, or read others in their stead, resume exactly."""

import shutil

import pytest
from mmengine.hooks import Hook
from mmengine.runner import Runner

from sesim_mmagic.apis.command_line import CommandError
from sesim_mmagic.apis.failures import failures_in_one_line
from tests.test_engine import tiny
from tests.test_engine.test_resume import Interrupt

SKIP = dict(train_dataloader__dataset__skip_broken=True)


class Damage(Hook):
    """Cuts a file once the data set has been built and looked at."""

    def __init__(self, path):
        self.path = path

    def before_train(self, runner):
        if self.path.stat().st_size > 300:
            self.path.write_bytes(self.path.read_bytes()[:300])


@pytest.fixture
def data(tmp_path):
    return tiny.write_pictures(tmp_path / 'data')


def end_of(config, work_dir, *hooks, **options):
    tiny.train(config, work_dir, *hooks, **SKIP, **options)
    return tiny.load(work_dir / 'iter_6.pth')


def test_a_repaired_picture_stays_left_out_on_resume(data, tmp_path):
    config = tiny.write_config(tmp_path / 'config.py', data)
    whole = shutil.copy(data / 'trainA/1.png', tmp_path)
    (data / 'trainA/1.png').write_bytes(b'')
    with pytest.raises(ValueError, match=r'1 picture cannot be used; .*\n.*trainA/1\.png'):
        tiny.train(config, tmp_path / 'refused')
    unbroken = end_of(config, tmp_path / 'unbroken')
    left_out = unbroken['message_hub']['runtime_info']['left_out_pictures']
    assert left_out == ['trainA/1.png']
    with pytest.raises(KeyboardInterrupt):
        tiny.train(config, tmp_path / 'broken', Interrupt(4, 'before_train_iter'), **SKIP)
    shutil.copy(whole, data / 'trainA/1.png')
    for workers in (0, 2):
        work_dir = shutil.copytree(tmp_path / 'broken', tmp_path / f'broken{workers}')
        options = dict(resume=True, train_dataloader__num_workers=workers)
        options['load_from'] = str(work_dir / 'iter_4.pth')
        resumed = end_of(config, work_dir, **options)
        tiny.assert_same_state(resumed, unbroken)
        assert resumed['message_hub']['runtime_info']['left_out_pictures'] == left_out
    log = ''.join(path.read_text() for path in work_dir.rglob('*.log'))
    assert "'trainA/1.png' can be used now; this training goes on without it" in log


def test_a_picture_that_turns_bad_is_replaced_on_resume_too(data, tmp_path):
    config = tiny.write_config(tmp_path / 'config.py', data)
    victim = data / 'trainB/2.png'
    unbroken = end_of(config, tmp_path / 'unbroken', Damage(victim))
    log = ''.join(path.read_text() for path in (tmp_path / 'unbroken').rglob('*.log'))
    assert log.count("2.png' can no longer be used") == 1 and "3.png' stands in for it" in log
    assert unbroken['message_hub']['runtime_info']['left_out_pictures'] == []
    shutil.copy(data / 'trainB/3.png', victim)
    with pytest.raises(KeyboardInterrupt):
        tiny.train(
            config, tmp_path / 'broken', Damage(victim), Interrupt(3, 'after_train_iter'), **SKIP
        )
    tiny.assert_same_state(end_of(config, tmp_path / 'broken', resume=True), unbroken)


class Vanish(Hook):
    """Moves a folder away in the middle of a training."""

    def __init__(self, folder):
        self.folder = folder

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 2:
            self.folder.rename(self.folder.with_suffix('.away'))


def test_pictures_that_vanish_cost_no_iteration(data, tmp_path):
    config = tiny.write_config(tmp_path / 'config.py', data)
    unbroken = end_of(config, tmp_path / 'unbroken')
    rarely = dict(default_hooks__checkpoint__interval=100)
    with pytest.raises(RuntimeError, match='5 pictures in a row cannot be read any more'):
        tiny.train(config, tmp_path / 'broken', Vanish(data / 'trainA'), **rarely)
    assert [path.name for path in (tmp_path / 'broken').glob('*.pth')] == ['iter_3.pth']
    (data / 'trainA.away').rename(data / 'trainA')
    resumed = end_of(config, tmp_path / 'broken', resume=True, **rarely)
    tiny.assert_same_state(resumed, unbroken)


class TooFew(Hook):
    """What a metric may raise at its first validation."""

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        raise ValueError('kid needs at least 2 real pictures')


def test_a_validation_that_fails_costs_no_iteration(data, tmp_path):
    config = tiny.write_config(tmp_path / 'config.py', data)
    cfg = tiny.load_config(config, tmp_path / 'work', default_hooks__checkpoint__interval=100)
    cfg.merge_from_dict(
        dict(
            val_dataloader=cfg.test_dataloader,
            val_cfg=dict(type='ValLoop'),
            val_evaluator=dict(type='mmengine.Evaluator', metrics=[]),
        )
    )
    cfg.train_cfg.val_interval = 4
    for checkpoint, code in ((None, 1), ('iter_4.pth', 2)):
        cfg.experiment_name, cfg.resume = f'too_few{code}', checkpoint is not None
        cfg.load_from = checkpoint and str(tmp_path / 'work' / checkpoint)
        hook = TooFew() if code == 1 else Refuse()
        runner = Runner.from_cfg(cfg)
        runner.register_hook(hook)
        with pytest.raises((CommandError, ValueError), match='kid needs') as ended:
            with failures_in_one_line(cfg, 'the training did not start') as stage:
                stage.runner = runner
                runner.train()
        # A user's error has 2, unless a part of the work was done.
        assert getattr(ended.value, 'code', 2) == code
        assert [p.name for p in (tmp_path / 'work').glob('*.pth')] == ['iter_4.pth']


class Refuse(Hook):
    """What is known before the first iteration of a training that goes on."""

    def before_train(self, runner):
        raise ValueError('kid needs at least 2 real pictures')
