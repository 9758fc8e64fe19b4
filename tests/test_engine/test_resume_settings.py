"""On resume the config counts, and whatever differs from the checkpoint is said."""

import copy
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.optim import LinearLR, MultiStepLR, OptimWrapper

from sesim_mmagic.engine.resume import advance
from tests.test_engine import tiny


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A config, and a training of 4 of 6 iterations that can be gone on with."""
    folder = tmp_path_factory.mktemp('settings')
    config = tiny.write_config(folder / 'config.py', tiny.write_pictures(folder / 'data'))
    tiny.train(config, folder / 'work', train_cfg__max_iters=4)
    return config, folder / 'work' / 'iter_4.pth'


class Watch(Hook):
    """Notes the learning rates and the pictures of every iteration."""

    def __init__(self):
        self.rates, self.seen, self.seed = {}, {}, None

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        rates = {
            name: wrapper.optimizer.param_groups[0]['lr']
            for name, wrapper in runner.optim_wrapper.items()
        }
        self.rates[runner.iter] = rates
        self.seen[runner.iter] = [sample.img_a_path for sample in data_batch['data_samples']]
        self.group = dict(runner.optim_wrapper['generators'].optimizer.param_groups[0])
        self.seed = runner.seed


def resumed(trained, work_dir, **options):
    """Resume the training elsewhere; the watch and the warnings of the log."""
    config, checkpoint = trained
    watch = Watch()
    tiny.train(config, work_dir, watch, resume=True, load_from=str(checkpoint), **options)
    log = ''.join(path.read_text() for path in Path(work_dir).rglob('*.log'))
    return watch, [line for line in log.splitlines() if 'Resume at iteration 4' in line]


def unbroken_rates(trained, work_dir, **options):
    watch = Watch()
    tiny.train(trained[0], work_dir, watch, **options)
    return {i: rates for i, rates in watch.rates.items() if i >= 4}


TWO = [
    dict(type='LinearLR', start_factor=0.1, end_factor=1, begin=0, end=3, by_epoch=False),
    dict(type='MultiStepLR', milestones=[2, 5, 7], gamma=0.3, by_epoch=False),
]


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        (
            dict(train_cfg__max_iters=12, param_scheduler__begin=6, param_scheduler__end=12),
            ['max_iters: 4 ', 'param_scheduler.begin: 2 ', 'param_scheduler.end: 6 '],
        ),
        (
            dict(train_cfg__max_iters=8, optim_wrapper__generators__optimizer__lr=5e-3),
            ['max_iters', 'optim_wrapper.generators.optimizer.lr: 0.001 in the ch'],
        ),
        (dict(train_cfg__max_iters=8, param_scheduler=TWO), ['max_iters', 'param_scheduler: {']),
        (dict(train_cfg__max_iters=8, param_scheduler=None), ['max_iters', 'param_scheduler: ']),
    ],
    ids=['longer', 'rate', 'two-schedules', 'no-schedule'],
)
def test_rates_are_those_of_a_training_of_this_config(trained, tmp_path, options, said):
    watch, lines = resumed(trained, tmp_path / 'resumed', **copy.deepcopy(options))
    assert len(lines) == len(said)
    assert all(any(part in line for line in lines) for part in said), lines
    whole = unbroken_rates(trained, tmp_path / 'whole', **copy.deepcopy(options))
    assert watch.rates == whole and len(whole) >= 4


def test_nothing_is_said_of_an_untouched_config(trained, tmp_path):
    _, lines = resumed(trained, tmp_path, train_cfg__max_iters=4)
    assert lines == []


def test_hyper_parameters_change_and_moments_stay(trained, tmp_path):
    config, checkpoint = trained
    options = dict(
        optim_wrapper__generators__optimizer__betas=(0.9, 0.99),
        optim_wrapper__generators__optimizer__weight_decay=0.01,
        optim_wrapper__generators__optimizer__type='AdamW',
        optim_wrapper__discriminators__accumulative_counts=2,
        model__structure_loss__loss_weight=2.0,
        train_cfg__max_iters=6,
    )
    watch, lines = resumed(trained, tmp_path, **options)
    assert len(lines) == 6, lines
    assert (watch.group['betas'], watch.group['weight_decay']) == ((0.9, 0.99), 0.01)
    state = tiny.load(tmp_path / 'iter_6.pth')['optimizer']['generators']['state']
    assert state[0]['step'] == 6


def test_changed_batches_go_on_after_the_samples_that_were_seen(trained, tmp_path):
    """Two pictures in 4 iterations are 8; each goes on with the ninth."""
    orders = {}
    for size in (1, 2, 4):
        watch = resumed(
            trained, tmp_path / str(size), train_dataloader__batch_size=size, train_cfg__max_iters=8
        )[0]
        orders[size] = [path for i in sorted(watch.seen) for path in watch.seen[i]]
    assert orders[4][:4] == orders[1] and orders[4][:8] == orders[2]
    log = ''.join(path.read_text() for path in (tmp_path / '4').rglob('*.log'))
    assert 'go on after the 8 samples that were trained on' in log
    # And once more: 8 + 4 x 4 samples.
    config = trained[0]
    again = Watch()
    options = dict(train_dataloader__batch_size=1, train_cfg__max_iters=9)
    tiny.train(config, tmp_path / '4', again, resume=True, **options)
    log = ''.join(path.read_text() for path in (tmp_path / '4').rglob('*.log'))
    assert again.seen.keys() == {8} and 'after the 24 samples' in log


def test_seed_and_data_of_the_config_count(trained, tmp_path):
    config, checkpoint = trained
    data = tiny.write_pictures(tmp_path / 'other', train=(7, 6))
    options = dict(
        randomness__seed=8, train_dataloader__dataset__data_root=str(data), train_cfg__max_iters=5
    )
    watch, lines = resumed(trained, tmp_path / 'resumed', **options)
    assert watch.seed == 8
    assert all(path.startswith(str(data)) for path in watch.seen[4])
    assert {'randomness.seed: 7', 'data_root: '} <= {
        part for line in lines for part in ('randomness.seed: 7', 'data_root: ') if part in line
    }
    log = ''.join(path.read_text() for path in (tmp_path / 'resumed').rglob('*.log'))
    assert 'had 5 samples when the checkpoint was written, now 7' in log


def test_mixed_precision_can_begin_on_the_way(trained, tmp_path):
    amp = {
        f'optim_wrapper__{name}__type': 'sesim_mmagic.CpuAmpOptimWrapper'
        for name in ('generators', 'discriminators', 'structure_loss')
    }
    watch, lines = resumed(trained, tmp_path, train_cfg__max_iters=6, **amp)
    assert sum('.type: ' in line and 'CpuAmpOptimWrapper' in line for line in lines) == 3
    assert set(watch.rates) == {4, 5}


@pytest.mark.parametrize('part', ['optimizer', 'param_schedulers', 'message_hub', 'iter'])
def test_state_that_is_missing_is_refused(trained, tmp_path, part):
    content = tiny.load(trained[1])
    content['meta'].pop(part) if part == 'iter' else content.pop(part)
    torch.save(content, tmp_path / 'less.pth')
    with pytest.raises(ValueError, match=f'less.pth.* lacks: {part}.*load_from='):
        resumed((trained[0], tmp_path / 'less.pth'), tmp_path / 'work')


@pytest.mark.parametrize(
    ('part', 'content', 'message'),
    [
        ('optimizer', None, 'lacks: optimizer'),
        ('message_hub', dict(a=3), 'lacks: message_hub'),
        ('param_schedulers', 3, 'lacks: param_schedulers'),
    ],
)
def test_state_of_another_shape_is_missing(trained, tmp_path, part, content, message):
    torch.save({**tiny.load(trained[1]), part: content}, tmp_path / 'odd.pth')
    with pytest.raises(ValueError, match=message):
        resumed((trained[0], tmp_path / 'odd.pth'), tmp_path / 'work')


def test_an_optimizer_without_its_moments_is_refused(trained, tmp_path):
    content = tiny.load(trained[1])
    content['optimizer']['generators']['state'] = {}
    torch.save(content, tmp_path / 'odd.pth')
    with pytest.raises(ValueError, match="'generators'.*no state of the 4 iterations.*load_from="):
        resumed((trained[0], tmp_path / 'odd.pth'), tmp_path / 'work')


def test_schedules_that_are_lost_are_those_of_the_config(trained, tmp_path):
    content = tiny.load(trained[1])
    content['param_schedulers'] = dict.fromkeys(content['param_schedulers'], [])
    torch.save(content, tmp_path / 'odd.pth')
    options = dict(train_cfg__max_iters=6)
    watch, _ = resumed((trained[0], tmp_path / 'odd.pth'), tmp_path / 'work', **options)
    assert watch.rates == unbroken_rates(trained, tmp_path / 'whole', **options)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            dict(optim_wrapper__generators__optimizer__amsgrad=True),
            r"'generators': Adam .*needs \['max_exp_avg_sq'\].*load_from=",
        ),
        (
            dict(
                optim_wrapper__generators__optimizer=dict(
                    _delete_=True, type='SGD', lr=1, momentum=0.9
                )
            ),
            r"SGD .*needs \['momentum_buffer'\].*load_from=",
        ),
        (dict(train_cfg__max_iters=3), 'at iteration 4, beyond the end.*max_iters is 3'),
        (
            dict(param_scheduler=dict(_delete_=True, type='ReduceOnPlateauLR', monitor='x')),
            'ReduceOnPlateauLR follows the scores',
        ),
    ],
    ids=['amsgrad', 'sgd', 'shorter', 'plateau'],
)
def test_what_cannot_go_on_is_refused(trained, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        resumed(trained, tmp_path, **copy.deepcopy(options))
    assert not list(tmp_path.glob('*.pth'))


def test_features_of_other_weights_are_refused(trained, tmp_path):
    """They are not in the checkpoint; their checksum is."""
    message = r'other weights of structure_loss\.feature_net .*set load_from='
    with pytest.raises(ValueError, match=message):
        resumed(trained, tmp_path, model__structure_loss__feature_net__seed=1)


def test_a_config_that_cannot_be_read_counts_too(trained, tmp_path):
    content = tiny.load(trained[1])
    content['meta']['cfg'] = 'import os'
    torch.save(content, tmp_path / 'odd.pth')
    options = dict(train_cfg__max_iters=6, optim_wrapper__generators__optimizer__lr=5e-3)
    watch, lines = resumed((trained[0], tmp_path / 'odd.pth'), tmp_path / 'work', **options)
    assert len(lines) == 1 and 'nobody can tell' in lines[0]
    assert watch.rates == unbroken_rates(trained, tmp_path / 'whole', **options)


def test_half_a_million_iterations_cost_seconds():
    """On the way to them every step counts: rates are multiplied up in this order."""
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=1e-3)
    wrapper = OptimWrapper(optimizer)
    linear = LinearLR(wrapper, 1, end_factor=0, begin=250_000, end=500_000, by_epoch=False)
    steps = MultiStepLR(wrapper, [100_000], gamma=0.5, by_epoch=False)
    begin = time.process_time()
    advance(SimpleNamespace(param_schedulers=[linear, steps]), 375_000, 'x.pth')
    assert time.process_time() - begin < 30
    assert optimizer.param_groups[0]['lr'] == pytest.approx(2.5e-4, rel=1e-3)
