"""Trainings that leave pictures out, or read others in their stead, resume exactly."""

import shutil

import pytest
from mmengine.hooks import Hook

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
