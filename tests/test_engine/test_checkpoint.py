"""What the checkpoint hook writes, removes and refuses."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.runner import Runner

from sesim_mmagic.engine import SafeCheckpointHook
from sesim_mmagic.evaluation import PairedScores, SyntheticScores
from sesim_mmagic.registry import METRICS
from sesim_mmagic.utils import files
from sesim_mmagic.utils.checkpoints import last_checkpoint
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
            if Path(paths[-1]).name != 'checked_pictures.json':
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


@METRICS.register_module(force=True)
class Scripted(BaseMetric):
    """Yields the scores it was given, one validation after the other."""

    def __init__(self, scores, prefix=None):
        super().__init__(prefix=prefix)
        self.scores = {key: iter(values) for key, values in scores.items()}

    def process(self, data_batch, data_samples):
        self.results.extend(data_samples)

    def compute_metrics(self, results):
        return {key: next(values) for key, values in self.scores.items()}


def validated(config, work_dir, scores, save_best, *hooks, prefix='paired', **options):
    """Train with validations after 2, 4 and 6 iterations that give these scores."""
    cfg = tiny.load_config(config, work_dir)
    metric = dict(type='sesim_mmagic.Scripted', scores=scores, prefix=prefix)
    return tiny.train(
        config,
        work_dir,
        *hooks,
        **{
            'val_dataloader': cfg.test_dataloader,
            'val_cfg': dict(type='ValLoop'),
            'val_evaluator': dict(type='mmengine.Evaluator', metrics=[metric]),
            'train_cfg__val_interval': 2,
            'default_hooks__checkpoint__save_best': save_best,
            **options,
        },
    )


def checkpoints(folder):
    return sorted(p.name for p in folder.glob('*.pth*'))


def test_best_checkpoint_follows_the_score(config, tmp_path, events):
    validated(config, tmp_path, dict(lpips=[3.0, 1.0, 2.0]), 'paired/lpips')
    assert checkpoints(tmp_path) == ['best_paired_lpips_iter_4.pth', 'iter_6.pth']
    assert 'optimizer' not in tiny.load(tmp_path / 'best_paired_lpips_iter_4.pth')
    assert events.index(('replace', 'best_paired_lpips_iter_4.pth')) < events.index(
        ('remove', 'best_paired_lpips_iter_2.pth')
    )


LESS = (
    'distribution/fid distribution/fid_clean distribution/kid_clean distribution/kid paired/lpips '
    'structure/distance mine/distances patch/swd appearance/swd_2'
)
GREATER = (
    'paired/psnr paired/ssim paired/boundary_f1 distribution/density_clean distribution/coverage '
    'synthetic/foreground_iou synthetic/miou synthetic/miou_permuted synthetic/boundary_f1 '
    'synthetic/psnr synthetic/ssim synthetic/style segmentation/pixel_accuracy '
    'segmentation/class_accuracy segmentation/miou segmentation/map diversity/lpips '
    'colouring/filled colouring/colour_spread'
)


def test_rule_of_every_score_is_known():
    for rule, keys in (('less', LESS), ('greater', GREATER)):
        for key in keys.split():
            hook = SafeCheckpointHook(save_best=key)
            assert hook.rules == [rule], key
            hook = SafeCheckpointHook(save_best=[key, 'paired/other'], rule=['less', 'greater'])
            assert hook.rules == ['less', 'greater']
    with pytest.raises(ValueError, match=r"'mine/points'.*less or more.*'psnr'"):
        SafeCheckpointHook(save_best='mine/points')


def test_scores_of_the_metrics_have_a_rule():
    """Whatever the metrics of the package call their scores, the hook knows them."""
    truth = torch.randint(256, (3, 24, 24), generator=torch.Generator().manual_seed(0))
    for kind in (PairedScores, SyntheticScores):
        metric = kind(target_domain='b')
        scores = metric.compute_metrics([metric.measure(dict(img_b=truth, fake_b=truth))])
        for key in scores:
            SafeCheckpointHook(save_best=f'{metric.default_prefix}/{key}')


def test_several_scores_have_a_best_checkpoint_each(config, tmp_path):
    runner = validated(
        config,
        tmp_path,
        dict(psnr=[3.0, 1.0, 2.0], lpips=[0.3, 0.1, 0.2]),
        ['paired/psnr', 'paired/lpips'],
    )
    assert checkpoints(tmp_path) == [
        'best_paired_lpips_iter_4.pth',
        'best_paired_psnr_iter_2.pth',  # though only one checkpoint of the training is kept
        'iter_6.pth',
    ]
    hook = next(h for h in runner.hooks if isinstance(h, SafeCheckpointHook))
    assert hook.best(runner) == [
        dict(key=f'paired/{key}', rule=rule, value=value, checkpoint=str(tmp_path / name))
        for key, rule, value, name in (
            ('psnr', 'greater', 3.0, 'best_paired_psnr_iter_2.pth'),
            ('lpips', 'less', 0.1, 'best_paired_lpips_iter_4.pth'),
        )
    ]


@pytest.mark.parametrize(
    ('key', 'scores'),
    [
        ('psnr', [math.nan, 1.0, math.inf]),
        ('psnr', [math.inf, np.float32(1.0), math.nan]),
        ('fid', [-math.inf, torch.tensor(3.0), math.nan]),
    ],
)
def test_score_that_is_not_finite_is_never_the_best(config, tmp_path, key, scores):
    validated(config, tmp_path, {key: scores}, f'paired/{key}')
    assert checkpoints(tmp_path) == [f'best_paired_{key}_iter_4.pth', 'iter_6.pth']
    log = ''.join(path.read_text() for path in tmp_path.rglob('*.log'))
    assert f"'paired/{key}' is {scores[0]}: no checkpoint becomes the best" in log
    tiny.load(tmp_path / 'iter_6.pth')  # holds the score as a plain number


def test_best_score_survives_a_resume_and_a_move(config, tmp_path):
    first, moved = tmp_path / 'first', tmp_path / 'moved'
    validated(config, first, dict(psnr=[5.0, 7.0]), 'paired/psnr', train_cfg__max_iters=4)
    first.rename(moved)
    (moved / 'last_checkpoint').write_text(str(moved / 'iter_4.pth'))
    validated(
        config, moved, dict(psnr=[6.0, 7.0]), 'paired/psnr', resume=True, train_cfg__max_iters=8
    )
    assert checkpoints(moved) == ['best_paired_psnr_iter_4.pth', 'iter_8.pth']
    validated(config, moved, dict(psnr=[8.0]), 'paired/psnr', resume=True, train_cfg__max_iters=10)
    assert checkpoints(moved) == ['best_paired_psnr_iter_10.pth', 'iter_10.pth']


def test_best_score_of_another_name_does_not_count_after_a_resume(config, tmp_path):
    validated(config, tmp_path, dict(psnr=[5.0]), 'paired/psnr', train_cfg__max_iters=2)
    validated(config, tmp_path, dict(fid=[9.0]), 'paired/fid', resume=True, train_cfg__max_iters=4)
    assert 'best_paired_fid_iter_4.pth' in checkpoints(tmp_path)


class Kill(Hook):
    """Ends a training the hard way at one iteration."""

    def __init__(self, iteration):
        self.iteration = iteration

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.iteration:
            raise KeyboardInterrupt


def test_best_checkpoint_between_two_checkpoints_is_noted_after_a_resume(config, tmp_path):
    """A new best between the checkpoints of a resumed training is known to the next one."""
    options = dict(default_hooks__checkpoint__interval=4, train_cfg__max_iters=8)
    with pytest.raises(KeyboardInterrupt):
        validated(config, tmp_path, dict(psnr=[1, 2]), 'paired/psnr', Kill(4), **options)
    options['resume'] = True
    with pytest.raises(KeyboardInterrupt):
        validated(config, tmp_path, dict(psnr=[3]), 'paired/psnr', Kill(6), **options)
    assert checkpoints(tmp_path) == ['best_paired_psnr_iter_6.pth', 'iter_6.pth']
    validated(config, tmp_path, dict(psnr=[2.5]), 'paired/psnr', **options)
    assert checkpoints(tmp_path) == ['best_paired_psnr_iter_6.pth', 'iter_8.pth']


def test_score_that_is_not_evaluated(config, tmp_path):
    with pytest.raises(ValueError, match=r"save_best=\['paired/ssim'\].*Evaluated: .*paired/psnr"):
        validated(config, tmp_path / '0', dict(psnr=[1, 2, 3]), 'paired/ssim')
    # The name of the metric alone tells it before the first iteration.
    with pytest.raises(ValueError, match=r"'distribution/fid', but the scores .*'paired/'"):
        validated(config, tmp_path / '1', dict(psnr=[]), 'distribution/fid')
    with pytest.raises(ValueError, match=r'val_evaluator holds no metric.*Add the metric'):
        validated(config, tmp_path / '2', {}, 'paired/psnr', val_evaluator__metrics=[])
    with pytest.raises(ValueError, match='there is no validation: set val_dataloader'):
        tiny.train(config, tmp_path / '3', default_hooks__checkpoint__save_best='paired/psnr')
    with pytest.raises(ValueError, match=r"save_best=\['error/fid'\].*Evaluated: \['psnr'\]"):
        validated(config, tmp_path / '4', dict(psnr=[1]), 'error/fid', prefix=None)


def test_first_score_decides_automatically(config, tmp_path):
    validated(config, tmp_path, dict(lpips=[3.0, 1.0, 2.0], psnr=[9, 1, 1]), 'auto')
    assert checkpoints(tmp_path) == ['best_paired_lpips_iter_4.pth', 'iter_6.pth']


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
    assert tiny.load(last_checkpoint(tmp_path))['meta']['iter'] == 2


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
    checkpoint['message_hub']['runtime_info']['ranks'] = 2
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


class FailOnce(Hook):
    """Ends the validation of an iteration."""

    def after_val_epoch(self, runner, metrics=None):
        if runner.iter == 3:
            raise KeyError('a metric')


def test_iterations_before_a_validation_that_fails_are_saved(config, tmp_path):
    validation = dict(
        val_dataloader=Config.fromfile(config).test_dataloader.to_dict(),
        val_cfg=dict(type='ValLoop'),
        val_evaluator=dict(type='mmengine.Evaluator', metrics=[]),
        train_cfg__val_interval=3,
    )
    with pytest.raises(KeyError, match='a metric'):
        tiny.train(config, tmp_path / 'ended', FailOnce(), **validation)
    assert last_checkpoint(tmp_path / 'ended') == str(tmp_path / 'ended/iter_3.pth')
    log = ''.join(path.read_text() for path in (tmp_path / 'ended').rglob('*.log'))
    assert "iter_3.pth', to go on from by --resume" in log
    tiny.train(config, tmp_path / 'ended', resume=True, **validation)
    tiny.train(config, tmp_path / 'whole', **validation)
    ended, whole = (tiny.load(tmp_path / name / 'iter_6.pth') for name in ('ended', 'whole'))
    tiny.assert_same_state(ended, whole)
