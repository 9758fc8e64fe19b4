"""What the checkpoint hook writes, removes and refuses."""

import math
import os
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from sesim_mmagic.engine import files
from tests.test_engine import tiny


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp('checkpoint')
    return tiny.write_config(folder / 'config.py', tiny.write_pictures(folder / 'data'))


@pytest.fixture
def events(monkeypatch):
    """Files put in place and removed, in order."""
    seen = []
    for name in ('replace', 'remove'):
        original = getattr(os, name)

        def noting(*paths, name=name, original=original, **kwargs):
            seen.append((name, Path(paths[-1]).name))
            original(*paths, **kwargs)

        monkeypatch.setattr(files.os, name, noting)
    return seen


def test_old_checkpoint_goes_after_the_new_one_is_complete(config, tmp_path, events):
    tiny.train(config, tmp_path)
    replaced = [('replace', 'iter_2.pth'), ('replace', 'last_checkpoint')]
    assert events[:2] == replaced
    assert events[2:5] == [
        ('replace', 'iter_4.pth'),
        ('replace', 'last_checkpoint'),
        ('remove', 'iter_2.pth'),
    ]
    assert sorted(p.name for p in tmp_path.glob('*.pth*')) == ['iter_6.pth']
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'iter_6.pth')


def test_kept_checkpoints_are_counted_across_a_resume(config, tmp_path):
    keep = dict(default_hooks__checkpoint__max_keep_ckpts=2)
    tiny.train(config, tmp_path, train_cfg__max_iters=4, **keep)
    tiny.train(config, tmp_path, resume=True, train_cfg__max_iters=8, **keep)
    assert sorted(p.name for p in tmp_path.glob('*.pth')) == ['iter_6.pth', 'iter_8.pth']


def test_best_checkpoint_follows_the_score(config, tmp_path, events, monkeypatch):
    scores = iter([3.0, 1.0, 2.0])

    class Score(Hook):
        priority = 'VERY_HIGH'

        def after_val_epoch(self, runner, metrics=None):
            metrics['error'] = next(scores)

    cfg = tiny.load_config(config, tmp_path)
    tiny.train(
        config,
        tmp_path,
        Score(),
        val_dataloader=cfg.test_dataloader,
        val_cfg=dict(type='ValLoop'),
        val_evaluator=cfg.test_evaluator,
        train_cfg__val_interval=2,
        default_hooks__checkpoint__save_best='error',
        default_hooks__checkpoint__rule='less',
    )
    assert sorted(p.name for p in tmp_path.glob('*.pth')) == ['best_error_iter_4.pth', 'iter_6.pth']
    assert 'optimizer' not in tiny.load(tmp_path / 'best_error_iter_4.pth')
    assert events.index(('replace', 'best_error_iter_4.pth')) < events.index(
        ('remove', 'best_error_iter_2.pth')
    )


class Spoil(Hook):
    """Puts a NaN into the generator in the middle of a training."""

    priority = 'NORMAL'

    def __init__(self, iteration):
        self.iteration = iteration

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.iteration:
            next(runner.model.generators.parameters()).data.view(-1)[0] = math.nan


def test_weights_that_are_not_finite_are_not_saved(config, tmp_path):
    with pytest.raises(RuntimeError) as error:
        tiny.train(config, tmp_path, Spoil(4))
    message = str(error.value)
    assert 'Iteration 4' in message
    assert "'generators.b.model.1.weight' holds values that are not finite" in message
    assert str(tmp_path / 'iter_2.pth') in message
    assert sorted(p.name for p in tmp_path.glob('*.pth*')) == ['iter_2.pth']
    assert tiny.load(files.last_checkpoint(tmp_path))['meta']['iter'] == 2


def test_storage_of_the_users_choice_is_kept(config, tmp_path):
    runner = Runner.from_cfg(
        tiny.load_config(
            config, tmp_path, default_hooks__checkpoint__backend_args=dict(backend='local')
        )
    )
    hook = next(h for h in runner.hooks if type(h).__name__ == 'SafeCheckpointHook')
    assert hook.backend_args == dict(backend='local')


def test_interval_that_cuts_through_an_accumulation_is_reported(config, tmp_path):
    options = {
        f'optim_wrapper__{key}__accumulative_counts': 4 for key in ('generators', 'discriminators')
    }
    tiny.train(config, tmp_path, train_cfg__max_iters=1, **options)
    log = ''.join(path.read_text() for path in tmp_path.rglob('*.log'))
    assert "'generators' accumulates 4 iterations" in log
    assert 'multiple of 4' in log


def test_resume_with_another_number_of_ranks_is_reported(config, tmp_path):
    tiny.train(config, tmp_path, train_cfg__max_iters=2)
    path = tmp_path / 'iter_2.pth'
    checkpoint = tiny.load(path)
    own = {'b.images': torch.full((2, 3, 24, 24), 0.5)}
    torch.save({**checkpoint, 'rank_buffers': [own, {'b.images': torch.zeros(1, 3, 24, 24)}]}, path)
    seen = []

    class Look(Hook):
        def before_train(self, runner):
            seen.append(runner.model.image_buffers['b'].images.clone())

    tiny.train(config, tmp_path, Look(), resume=True, train_cfg__max_iters=4)
    assert torch.equal(seen[0], own['b.images'])
    log = ''.join(path.read_text() for path in tmp_path.rglob('*.log'))
    assert 'written by 2 rank(s), now there are 1' in log
