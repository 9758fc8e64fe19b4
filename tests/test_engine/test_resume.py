"""A training that was killed and resumed ends as if nothing had happened."""

import copy
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from torch.utils.data import DataLoader

from tests.test_engine import tiny
from tests.tiny import TINY_PROJECTED


class Interrupt(Hook):
    """Ends a training the hard way at one iteration."""

    priority = 'LOWEST'

    def __init__(self, iteration, moment):
        self.iteration = iteration
        setattr(self, moment, self._interrupt)

    def _interrupt(self, runner, *args, **kwargs):
        if runner.iter == self.iteration:
            raise KeyboardInterrupt


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp('resume')
    return tiny.write_config(folder / 'config.py', tiny.write_pictures(folder / 'data'))


@pytest.fixture(scope='module')
def unbroken(config, tmp_path_factory):
    """The last checkpoint of a training that nobody disturbed."""
    work_dir = tmp_path_factory.mktemp('unbroken')
    tiny.train(config, work_dir)
    return tiny.load(work_dir / 'iter_6.pth')


def finish(config, work_dir, **options):
    tiny.train(config, work_dir, resume=True, **options)
    return tiny.load(work_dir / 'iter_6.pth')


# Checkpoints are saved after 2 and 4 iterations: right after one, right before one, in between.
@pytest.mark.parametrize(
    ('iteration', 'moment', 'workers', 'persistent'),
    [
        (1, 'before_train_iter', 0, False),
        (2, 'before_train_iter', 0, False),
        (3, 'after_train_iter', 0, False),
        (3, 'before_train_iter', 2, False),
        (4, 'after_train_iter', 2, True),
    ],
)
def test_resume_is_exact(config, unbroken, tmp_path, iteration, moment, workers, persistent):
    loading = dict(
        train_dataloader__num_workers=workers, train_dataloader__persistent_workers=persistent
    )
    with pytest.raises(KeyboardInterrupt):
        tiny.train(config, tmp_path, Interrupt(iteration, moment), **loading)
    assert (tmp_path / 'last_checkpoint').exists() == (iteration > 1)
    tiny.assert_same_state(finish(config, tmp_path, **loading), unbroken)


def test_resume_is_exact_with_parameters_in_the_generators_optimizer(config, tmp_path):
    """PatchNCE, mirrored batches: perceptrons, their moments and the draws come back.

    Likewise a second discriminator, its spectral norms, the draws of what both see and of its
    penalty.
    """
    adam = dict(optimizer=dict(type='Adam', lr=1e-3))
    settings = dict(
        model__flip_equivariance=True,
        model__augmentation=dict(colour=True, translation=0.25),
        model__more_discriminators=dict(
            projected={
                **TINY_PROJECTED,
                'augmentation': dict(cutout=0.5),
                'gradient_penalty_weight': 0.1,
            }
        ),
        model__structure_loss=dict(
            _delete_=True,
            type='sesim_mmagic.PatchNCELoss',
            layers=(0, 4, 12),
            channels=(3, 8, 16),
            width=8,
            num_patches=16,
        ),
        optim_wrapper=dict(
            _delete_=True,
            constructor='MultiOptimWrapperConstructor',
            generators=dict(modules=['generators', 'structure_loss'], **adam),
            discriminators=dict(modules='discriminators', **adam),
        ),
    )
    # Merging takes the `_delete_` out of what it is given.
    tiny.train(config, tmp_path / 'whole', **copy.deepcopy(settings))
    interrupt = Interrupt(3, 'after_train_iter')
    with pytest.raises(KeyboardInterrupt):
        tiny.train(config, tmp_path / 'broken', interrupt, **copy.deepcopy(settings))
    whole = tiny.load(tmp_path / 'whole/iter_6.pth')
    assert 'structure_loss.mlp_2.2.weight' in whole['state_dict']
    assert any('b:projected.heads.0.0.param' in name for name in whole['state_dict'])
    assert set(whole['optimizer']) == {'generators', 'discriminators'}
    tiny.assert_same_state(finish(config, tmp_path / 'broken', **settings), whole)


def test_state_that_is_compared_is_there(unbroken):
    assert unbroken['state_dict']['image_buffers.b.images'].shape == (3, 3, 24, 24)
    assert 'structure_loss.heads.conv_0.0.weight' in unbroken['state_dict']
    for network in ('generators', 'discriminators', 'structure_loss'):
        assert len(unbroken['optimizer'][network]['state']) > 0, network
    assert unbroken['param_schedulers']['generators'][0]['last_step'] == 3
    assert any(key.startswith('generator_ema.') for key in unbroken['state_dict'])


def test_other_seed_trains_otherwise(config, unbroken, tmp_path):
    tiny.train(config, tmp_path, randomness__seed=8)
    other = tiny.load(tmp_path / 'iter_6.pth')['state_dict']
    assert not torch.equal(
        other['image_buffers.b.images'], unbroken['state_dict']['image_buffers.b.images']
    )


@pytest.mark.parametrize('randomness', [dict(seed=None), dict(seed=3, diff_rank_seed=True)])
def test_seed_that_the_config_does_not_name_is_resumed(config, tmp_path, randomness):
    whole, broken = tmp_path / 'whole', tmp_path / 'broken'
    tiny.train(config, whole, randomness=randomness, default_hooks__checkpoint__max_keep_ckpts=-1)
    broken.mkdir()
    os.link(whole / 'iter_2.pth', broken / 'iter_2.pth')
    (broken / 'last_checkpoint').write_text(str(broken / 'iter_2.pth'))
    tiny.assert_same_state(
        finish(config, broken, randomness=randomness), tiny.load(whole / 'iter_6.pth')
    )


def test_validation_does_not_shift_random_numbers(config, unbroken, tmp_path):
    cfg = tiny.load_config(config, tmp_path)
    validation = dict(
        val_dataloader=cfg.test_dataloader,
        val_cfg=dict(type='ValLoop'),
        val_evaluator=cfg.test_evaluator,
        train_cfg__val_interval=1,
    )
    tiny.train(config, tmp_path, **validation)
    tiny.assert_same_state(tiny.load(tmp_path / 'iter_6.pth'), unbroken)


def test_resume_does_not_load_batches_again(config, tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        tiny.train(config, tmp_path, Interrupt(5, 'before_train_iter'))
    read = []
    original = DataLoader.__iter__

    def counting(self):
        for batch in original(self):
            read.append(len(batch['data_samples']))
            yield batch

    monkeypatch.setattr(DataLoader, '__iter__', counting)
    finish(config, tmp_path)
    assert read == [2, 2]


class Order(Hook):
    """Notes which pictures of the first folder each iteration sees."""

    def __init__(self):
        self.seen = {}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.seen[runner.iter] = [sample.img_a_path for sample in data_batch['data_samples']]


def test_sampler_without_start_falls_back(config, tmp_path):
    sampler = dict(train_dataloader__sampler=dict(type='InfiniteSampler', shuffle=True))
    whole, rest = Order(), Order()
    tiny.train(config, tmp_path / 'whole', whole, **sampler)
    broken = tmp_path / 'broken'
    with pytest.raises(KeyboardInterrupt):
        tiny.train(config, broken, Interrupt(3, 'before_train_iter'), **sampler)
    tiny.train(config, broken, rest, resume=True, **sampler)
    log = ''.join(path.read_text() for path in broken.rglob('*.log'))
    assert 'InfiniteSampler has no attribute `start`' in log
    assert len(whole.seen) == 6
    assert rest.seen == {i: whole.seen[i] for i in range(2, 6)}


CHILD = '''
import builtins, os, signal, sys
from pathlib import Path

victim, share = sys.argv[3], float(sys.argv[4])
original = builtins.open

class Killer:
    """Writes a share of what it is given, then the process is killed."""
    def __init__(self, file): self.file = file
    def __enter__(self): return self
    def __exit__(self, *args): self.file.close()
    def __getattr__(self, name): return getattr(self.file, name)
    def write(self, content):
        self.file.write(content[:int(share * len(content))])
        self.file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

def deadly_open(file, mode='r', *args, **kwargs):
    opened = original(file, mode, *args, **kwargs)
    return Killer(opened) if 'w' in mode and Path(str(file)).name.startswith(victim) else opened

builtins.open = deadly_open
from tests.test_engine import tiny
tiny.train(sys.argv[1], sys.argv[2], resume=True)
'''


@pytest.mark.parametrize(('victim', 'share'), [('iter_4.pth', 0.5), ('last_checkpoint', 0.0)])
def test_kill_while_writing_keeps_the_last_checkpoint(config, unbroken, tmp_path, victim, share):
    if victim == 'last_checkpoint':  # one that is already there
        tiny.train(config, tmp_path, train_cfg__max_iters=2)
    child = subprocess.run(
        [sys.executable, '-c', CHILD, str(config), str(tmp_path), victim, str(share)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    noted = Path((tmp_path / 'last_checkpoint').read_text())
    assert noted.name == 'iter_2.pth'
    assert tiny.load(noted)['meta']['iter'] == 2
    # Nothing truncated is under a final name.
    assert (tmp_path / 'iter_4.pth').exists() == (victim == 'last_checkpoint')
    tiny.assert_same_state(finish(config, tmp_path), unbroken)


def test_kill_at_any_time(config, unbroken, tmp_path):
    """SIGKILL from outside, at whatever the training happens to be doing."""
    command = (
        'import sys; from tests.test_engine import tiny; '
        'tiny.train(sys.argv[1], sys.argv[2], train_dataloader__num_workers=2)'
    )
    child = subprocess.Popen(
        [sys.executable, '-c', command, str(config), str(tmp_path)], cwd=Path(__file__).parents[2]
    )
    pointer = tmp_path / 'last_checkpoint'
    while child.poll() is None and not pointer.exists():
        time.sleep(0.002)
    child.kill()
    child.wait()
    tiny.assert_same_state(finish(config, tmp_path), unbroken)
