"""Fixed inputs seen through a training that does not notice."""

import copy
import os
import random
import re
import socket
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModule
from mmengine.runner import Runner
from torch import nn

from sesim_mmagic.apis.ranks import leave_job
from sesim_mmagic.engine import FixedInputsHook
from sesim_mmagic.engine.hooks import fixed_inputs
from sesim_mmagic.engine.map_figure import draw_maps
from sesim_mmagic.registry import MODELS
from tests.test_engine import tiny

HOOK = dict(type='sesim_mmagic.FixedInputsHook', interval=4)
FSESIM = dict(
    type='sesim_mmagic.FSeSimLoss',
    layers=('relu1_2', 'relu2_2'),
    num_patches=16,
    feature_net=dict(type='sesim_mmagic.VGG16Features', pretrained=None, seed=0, width=0.125),
)
# Without a loss that learns.
ADAM = dict(optimizer=dict(type='Adam', lr=1e-3))
TWO_NETWORKS = dict(
    optim_wrapper=dict(
        _delete_=True,
        constructor='MultiOptimWrapperConstructor',
        generators=ADAM,
        discriminators=ADAM,
    )
)
CYCLEGAN = dict(
    type='sesim_mmagic.SeSimCycleGAN',
    data_preprocessor=dict(type='DataPreprocessor', data_keys=['img_a', 'img_b']),
    default_domain='b',
    reachable_domains=['a', 'b'],
    related_domains=['a', 'b'],
    generator=dict(
        type='ResnetGenerator',
        in_channels=3,
        out_channels=3,
        base_channels=4,
        norm_cfg=dict(type='BN'),
        use_dropout=True,
        num_blocks=1,
    ),
    discriminator=dict(
        type='PatchDiscriminator',
        in_channels=3,
        base_channels=4,
        num_conv=1,
        norm_cfg=dict(type='IN'),
    ),
    structure_loss=FSESIM,
)


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp('fixed_inputs')
    return tiny.write_config(folder / 'config.py', tiny.write_pictures(folder / 'data'))


def figures(work_dir):
    """The figures below a work directory by their names."""
    return {p.stem: cv2.imread(str(p)) for p in work_dir.rglob('vis_image/fixed_inputs*.png')}


def train(config, work_dir, *hooks, hook=HOOK, iterations=6, **options):
    """Train with the hook among the default ones, for some iterations."""
    options = copy.deepcopy(options)  # MMEngine takes _delete_ out of what it is given
    options['train_cfg__max_iters'] = iterations
    if hook:
        options['default_hooks__fixed_inputs'] = hook
    return tiny.train(config, work_dir, *hooks, **options)


class Moments(Hook):
    """Notes what a figure might disturb, before it and after it."""

    def __init__(self, priority):
        self.priority = priority
        self.noted = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        model = runner.model
        self.noted.append(
            (
                {name: module.training for name, module in model.named_modules()},
                {name: p.requires_grad for name, p in model.named_parameters()},
                {name: b.clone() for name, b in model.named_buffers()},
                torch.get_rng_state(),
                np.random.get_state()[1],
            )
        )


@pytest.fixture(scope='module')
def watched(config, tmp_path_factory):
    """A training with LSeSim that was watched: folder, model, what hooks noted, what was drawn."""
    work_dir = tmp_path_factory.mktemp('runs') / 'watched'
    before, after = Moments('BELOW_NORMAL'), Moments('VERY_LOW')
    backends = [dict(type='VisBackend'), dict(type='TensorboardVisBackend')]
    visualizer = dict(type='Visualizer', vis_backends=backends)
    drawn = []

    def noting(groups, rows):
        drawn.append(rows)
        return draw_maps(groups, rows)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fixed_inputs, 'draw_maps', noting)
        runner = train(config, work_dir, before, after, visualizer=visualizer)
    return SimpleNamespace(
        folder=work_dir, model=runner.model, before=before.noted, after=after.noted, drawn=drawn
    )


def test_figures_are_named_after_their_steps(watched):
    found = figures(watched.folder)
    assert sorted(found) == ['fixed_inputs_4', 'fixed_inputs_6']
    # Two inputs with two queries of (30, 37); input, translation and two maps, 37 * 4 wide.
    assert all(f.shape[1] > 4 * 148 and f.shape[0] > 4 * 120 for f in found.values())


def test_training_is_bit_identical(watched, config, tmp_path):
    train(config, tmp_path / 'unwatched', hook=None)
    assert not figures(tmp_path)
    folders = watched.folder, tmp_path / 'unwatched'
    states = [tiny.load(folder / 'iter_6.pth') for folder in folders]
    tiny.assert_same_state(*states)


def test_modes_gradients_buffers_and_random_states_are_as_before(watched):
    assert len(watched.before) == len(watched.after) == 6
    for earlier, later in zip(watched.before, watched.after, strict=True):
        for left, right in zip(earlier, later, strict=True):
            if isinstance(left, dict) and not torch.is_tensor(next(iter(left.values()))):
                assert left == right
            elif isinstance(left, dict):
                tiny._assert_equal(left, right, 'buffers')
            else:
                assert (np.asarray(left) == np.asarray(right)).all()


def test_inputs_are_the_first_test_pictures_each_time_and_translations_change(watched, config):
    root = Config.fromfile(config).test_dataloader.dataset.data_root
    first, last = watched.drawn
    assert [label for label, _ in first] == [label for label, _ in last] == ['0', '0', '1', '1']
    for (label, early), (_, late) in zip(first, last, strict=True):
        expected = cv2.imread(f'{root}/testA/{label}.png')
        assert (early[0].values == expected).all() and (late[0].values == expected).all()
        assert early[1].values.shape == expected.shape
        assert (early[1].values != late[1].values).mean() > 0.01


def test_translation_is_that_of_a_test(watched, config, tmp_path):
    """Of the averaged generator in eval mode: what a test of the last checkpoint writes."""
    checkpoint = str(watched.folder / 'iter_6.pth')
    Runner.from_cfg(tiny.load_config(config, tmp_path, load_from=checkpoint)).test()
    for label, cells in watched.drawn[-1]:
        written = cv2.imread(str(tmp_path / f'test/translations/b/{label}.png'))
        assert (cells[1].values == written).all()


@torch.no_grad()
def test_maps_are_those_of_the_loss(watched):
    """A row a query; of input, then of translation, both through the trained heads."""
    points = [(0.35, 0.3), (0.6, 0.6)]
    for n, (_, cells) in enumerate(watched.drawn[-1]):
        assert [cell.point for cell in cells] == [points[n % 2]] * 4
        picture = cells[0].values.transpose(2, 0, 1).astype(np.float32)
        source = torch.from_numpy(picture / 127.5 - 1)[None]
        translated = watched.model.translate(source).clamp(-1, 1)
        for image, cell in zip((source, translated), cells[2:], strict=True):
            (maps,) = watched.model.structure_loss.similarity_maps(image, points).values()
            assert cell.values.shape == (15, 18)
            np.testing.assert_allclose(cell.values, maps[0, n % 2].numpy(), atol=1e-4)
            row, column = int(cell.point[1] * 15), int(cell.point[0] * 18)
            assert cell.values[row, column] == pytest.approx(1, abs=1e-5)


def test_tensorboard_gets_the_same_picture(watched):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (events,) = watched.folder.rglob('events.out.tfevents*')
    accumulator = EventAccumulator(str(events)).Reload()
    images = accumulator.Images('fixed_inputs')
    assert [image.step for image in images] == [4, 6]
    for image in images:
        decoded = cv2.imdecode(
            np.frombuffer(image.encoded_image_string, np.uint8), cv2.IMREAD_COLOR
        )
        assert (decoded == figures(watched.folder)[f'fixed_inputs_{image.step}']).all()


def columns(figure):
    """How many cells of 148 pixels stand side by side, with gaps of some pixels."""
    return round(figure.shape[1] / 160)


@pytest.mark.parametrize(
    ('loss', 'expected'), [(None, 2), (FSESIM, 6), ({**FSESIM, 'layers': ['relu1_2']}, 4)]
)
def test_without_heads_and_without_a_structure_loss(config, tmp_path, loss, expected):
    loss = loss and dict(_delete_=True, **loss)
    options = dict(model__structure_loss=loss, **TWO_NETWORKS)
    train(config, tmp_path / 'run', iterations=1, **options)
    (figure,) = figures(tmp_path).values()
    assert columns(figure) == expected
    # Without queries there is one row for each of the two inputs.
    assert (figure.shape[0] > 3 * 120) == (loss is not None)


def test_a_single_input_is_enough_where_there_is_no_other(config, tmp_path):
    one = str(tiny.write_pictures(tmp_path / 'one', test=1))
    options = dict(model__structure_loss=None, test_dataloader__dataset__data_root=one)
    train(config, tmp_path / 'run', iterations=1, **options, **TWO_NETWORKS)
    (figure,) = figures(tmp_path).values()
    assert figure.shape[0] < 200


def test_both_directions_of_mmagics_cyclegan_with_its_statistics_untouched(config, tmp_path):
    """Its batch norms normalize pictures with their own statistics, and keep the training's."""
    for name, hook in dict(watched={**HOOK, 'interval': 1}, unwatched=None).items():
        train(
            config,
            tmp_path / name,
            model=dict(_delete_=True, **CYCLEGAN),
            hook=hook,
            iterations=2,
            **TWO_NETWORKS,
        )
    states = [tiny.load(tmp_path / name / 'iter_2.pth') for name in ('watched', 'unwatched')]
    assert any('running_mean' in name for name in states[0]['state_dict'])
    tiny.assert_same_state(*states)
    drawn = figures(tmp_path)
    assert sorted(drawn) == ['fixed_inputs_1', 'fixed_inputs_2']
    # Two inputs, two directions, two queries.
    assert all(8 * 112 < figure.shape[0] < 8 * 150 + 60 for figure in drawn.values())


class Times(BaseModule):
    """A generator that learns a factor, of more noise with each call."""

    def __init__(self, factor):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))
        self.calls = 0

    def forward(self, image):
        self.calls += 1
        return image * self.factor + 0.1 * self.calls * torch.rand_like(image)


@pytest.mark.parametrize('truth', [False, True])
@pytest.mark.parametrize('factor', [-0.9, 0.9])
def test_exchanged_light_and_dark_are_said_once(config, tmp_path, factor, truth, monkeypatch):
    """By the truths, here negatives of the sources, where there are any."""
    data = tiny.write_pictures(tmp_path / 'data')
    for source in (data / 'testA').iterdir():
        cv2.imwrite(str(data / 'testB' / source.name), 255 - cv2.imread(str(source)))
    monkeypatch.setitem(MODELS.module_dict, 'Times', Times)
    generator = dict(_delete_=True, type='sesim_mmagic.Times', factor=factor)
    options = dict(model__generator=generator, model__structure_loss=None, log_level='INFO')
    options |= dict(test_dataloader__dataset__data_root=str(data))
    options |= dict(test_dataloader__dataset__paired=truth)
    train(config, tmp_path, hook={**HOOK, 'interval': 1}, iterations=3, **options, **TWO_NETWORKS)
    (log,) = tmp_path.rglob('*.log')
    said = re.findall(
        r"iteration 1 light and dark are exchanged in all translations to 'b' \(correlations of "
        rf'brightness with their {"truths" if truth else "sources"} -[.\d]+, -[.\d]+\)',
        log.read_text(),
    )
    assert len(said) == ((factor < 0) != truth)


def test_one_picture_that_is_right_keeps_the_rest_quiet():
    hook, said = FixedInputsHook(), []
    hook._has_truth = False
    runner = SimpleNamespace(iter=7, logger=SimpleNamespace(warning=said.append))
    ramp = torch.linspace(0, 255, 48).reshape(1, 6, 8).expand(3, 6, 8)
    for output in (ramp, torch.full_like(ramp, torch.nan)):
        rows = [('b', 'one', (ramp, ramp.flip(2, 1)), ramp), ('b', 'two', (ramp, output), ramp)]
        hook._check_brightness(runner, rows)
        hook._check_brightness(runner, rows[::-1])
    assert not said
    hook._check_brightness(runner, rows[:1])
    assert len(said) == 1 and 'at iteration 8' in said[0]


def run_rank(rank, port, config, work_dir):
    """Train on one of two ranks and write down how many figures it drew."""
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2',
        MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port),
    )  # fmt: skip
    drawn = []
    fixed_inputs.draw_maps = lambda *args: drawn.append(1) or draw_maps(*args)
    train(config, work_dir, hook={**HOOK, 'interval': 1}, iterations=2, launcher='pytorch')
    (work_dir / f'drawn_{rank}').write_text(str(len(drawn)))
    leave_job()


def test_random_states_are_put_back_and_draws_are_the_same_each_time():
    def draw():
        return random.random(), np.random.rand(), torch.rand(1).item()

    model = torch.nn.Linear(1, 1)
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    expected = draw()
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])
    inside = []
    for _ in range(2):
        with fixed_inputs._own_draws(model):
            inside.append(draw())
    assert draw() == expected
    assert inside[0] == inside[1] != expected


@pytest.mark.slow
def test_of_two_ranks_the_first_draws_and_none_waits(config, tmp_path):
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    mp.spawn(run_rank, (port, config, tmp_path / 'run'), nprocs=2)
    assert [(tmp_path / f'run/drawn_{rank}').read_text() for rank in range(2)] == ['2', '0']
    assert sorted(figures(tmp_path)) == ['fixed_inputs_1', 'fixed_inputs_2']


@pytest.mark.parametrize(
    ('argument', 'message'),
    [
        (dict(interval=0), 'interval must be a whole number, positive, got 0'),
        (dict(interval=2.5), 'interval must be .* got 2.5'),
        (dict(num_inputs=0), 'num_inputs must be .* got 0'),
        (dict(points=[(0.5, 1.0)]), 'points must be .* below 1; got'),
        (dict(points=[]), 'points must be'),
    ],
)
def test_arguments_out_of_range_are_refused(argument, message):
    with pytest.raises(ValueError, match=message):
        FixedInputsHook(**argument)


def test_what_a_data_set_lacks_is_said_before_the_training(config, tmp_path):
    with pytest.raises(ValueError, match='num_inputs is 4, but .* test_dataloader has 3 samples'):
        train(config, tmp_path / 'few', hook={**HOOK, 'num_inputs': 4})
    pack = dict(type='sesim_mmagic.PackDomains', A='other', B='b')
    pipeline = [*Config.fromfile(config).test_dataloader.dataset.pipeline[:-1], pack]
    with pytest.raises(ValueError, match="no picture 'img_a' .* only .'img_b', 'img_other'.; pack"):
        train(config, tmp_path / 'other', test_dataloader__dataset__pipeline=pipeline)
    nothing = dict(test_dataloader=None, test_cfg=None, test_evaluator=None)
    with pytest.raises(ValueError, match='the config has neither'):
        train(config, tmp_path / 'none', **nothing)
