"""The record of a training and its tests: what it holds, how it goes on, what it refuses."""

import json
import math
import re
from html import unescape
from types import SimpleNamespace

import pytest
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.runner import Runner

import sesim_mmagic
from sesim_mmagic.engine import ResultsHook, read_results
from sesim_mmagic.engine.work_dir import overwrite_training
from sesim_mmagic.registry import METRICS
from tests.test_engine import tiny


@METRICS.register_module(force=True)
class Iteration(BaseMetric):
    """Scores that tell the number of the validation of this metric, and what is no number."""

    default_prefix = 'paired'

    def __init__(self, psnr):
        super().__init__()
        self.psnr = list(psnr)

    def process(self, data_batch, data_samples):
        self.results.extend(data_samples)

    def compute_metrics(self, results):
        return dict(psnr=self.psnr.pop(0), pictures=len(results), ssim=math.nan, classes=['a', 'b'])


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp('results')
    data = tiny.write_pictures(folder / 'data', train=(7, 6))
    return tiny.write_config(folder / 'config.py', data)


def options(config, psnr, test_psnr=(50.0,), **more):
    """Settings of a training that validates after 2, 4 and 6 iterations on held-out pictures."""
    cfg = tiny.load_config(config, 'unused')
    loader = cfg.test_dataloader.copy()
    loader.dataset = dict(cfg.test_dataloader.dataset, test_mode=False, split='val', held_out=2)
    evaluators = [
        dict(type='mmengine.Evaluator', metrics=[dict(type='sesim_mmagic.Iteration', psnr=scores)])
        for scores in (psnr, test_psnr)
    ]
    return {
        'val_dataloader': loader,
        'test_dataloader__dataset__paired': True,
        'val_cfg': dict(type='ValLoop'),
        'val_evaluator': evaluators[0],
        'test_evaluator': evaluators[1],
        'train_dataloader__dataset__held_out': 2,
        'train_cfg__val_interval': 2,
        'default_hooks__checkpoint__save_best': 'paired/psnr',
        'default_hooks__results': dict(type='sesim_mmagic.ResultsHook'),
        **more,
    }


def run_test(config, work_dir, checkpoint, psnr, **more):
    settings = options(config, [], [psnr], **more)
    cfg = tiny.load_config(config, work_dir, load_from=str(work_dir / checkpoint), **settings)
    runner = Runner.from_cfg(cfg)
    for hook in runner.hooks:
        hook.overwrite = True
    runner.test()


def read(work_dir):
    def refuse(constant):
        raise AssertionError(f'{constant} is no JSON')

    return json.loads((work_dir / 'results.json').read_text(), parse_constant=refuse)


def iterations(results):
    return [entry['iteration'] for entry in results['validation']['history']]


class Losses(Hook):
    """Notes the loss of each iteration, and stops the training hard after one of them."""

    priority = 'LOWEST'

    def __init__(self, seen, last=None):
        self.seen, self.last = seen, last

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.seen[runner.iter + 1] = float(outputs['loss_structure'])
        if runner.iter + 1 == self.last:
            raise KeyboardInterrupt


@pytest.fixture(scope='module')
def trained(config, tmp_path_factory):
    """Work directory of a training that was tested at its end, and its losses."""
    work_dir, losses = tmp_path_factory.mktemp('trained') / 'work', {}
    runner = tiny.train(config, work_dir, Losses(losses), **options(config, [21.0, 23.0, math.inf]))
    runner.test()
    return work_dir, losses


def test_results_of_a_training_and_its_test(trained):
    work_dir, losses = trained
    results = read(work_dir)
    assert results == read_results(work_dir)
    assert results['config'] == 'config'
    assert results['sesim_mmagic'] == sesim_mmagic.__version__
    assert results['seed'] == 7
    validation = results['validation']
    assert validation['split'] == 'val (held-out)' and validation['pictures'] == 2
    assert iterations(results) == [2, 4, 6]
    # Lists are no scores; what is not finite is null.
    assert [entry['metrics'] for entry in validation['history']] == [
        {'paired/psnr': psnr, 'paired/pictures': 2.0, 'paired/ssim': None}
        for psnr in (21.0, 23.0, None)
    ]
    name = 'best_paired_psnr_iter_4.pth'
    assert (work_dir / name).is_file()
    assert results['best'] == [
        dict(key='paired/psnr', rule='greater', value=23.0, iteration=4, checkpoint=name)
    ]
    examples = results['tests'][0].pop('examples')
    assert examples['columns'] == ['input', 'translation', 'truth']
    assert examples['rows'][0] == [
        '0', ['test/inputs/a/0.png', 'test/translations/b/0.png', 'test/truths/b/0.png']
    ]  # fmt: skip
    assert len(examples['rows']) == 3
    assert results['tests'] == [
        dict(
            split='test',
            pictures=3,
            checkpoint='iter_6.pth',
            iteration=6,
            metrics={'paired/psnr': 50.0, 'paired/pictures': 3.0, 'paired/ssim': None},
            page='test/index.html',
        )
    ]
    training = results['training']
    assert (training['iterations'], training['max_iterations'], training['ranks']) == (6, 6, 1)
    assert 0 < training['seconds_per_iteration'] < training['seconds'] < 60
    assert 100 < training['peak_memory_mb'] < 16000 and training['memory_of'] == 'process'
    assert results['losses']['loss_structure'] == [[i, losses[i]] for i in range(1, 7)]
    assert {'loss_gan_g', 'loss_gan_d'} < set(results['losses'])


def test_page_shows_the_results(trained):
    work_dir, _ = trained
    text = (work_dir / 'report.html').read_text()
    shown = unescape(re.sub(r'<[^>]+>', '|', text))
    assert re.search(r'iter_6\.pth\|.*paired/psnr\|+50\.000\|', shown, re.DOTALL)
    assert 'test (3)' in shown and 'Validation on val (held-out), 2 pictures' in shown
    assert '|paired/psnr||greater||23.000||4||best_paired_psnr_iter_4.pth|' in shown
    assert 'sesim_mmagic' in shown and 'seed 7' in shown and '6 of 6 iterations' in shown
    assert text.count('src="data:image/svg+xml,') == 2
    pictures = re.findall(r'src="(test/[^"]+)"', text)
    # Each picture leads to itself.
    assert re.findall(r'href="([^"]+)"', text) == [*pictures, 'test/index.html']
    assert pictures[:2] == ['test/inputs/a/0.png', 'test/translations/b/0.png']
    assert len(pictures) == 9
    assert not re.search(r'(src|href)="(/|https?:|file:)|<script', text)


def test_a_test_of_its_own_adds_its_part(config, trained):
    work_dir, _ = trained
    before = read(work_dir)
    try:
        for psnr in (31.0, 32.0):  # of one checkpoint the last test counts
            run_test(config, work_dir, 'best_paired_psnr_iter_4.pth', psnr)
        after = read(work_dir)
        assert {**after, 'tests': before['tests']} == before
        assert after['tests'][:-1] == before['tests']
        test = after['tests'][-1]
        assert (test['checkpoint'], test['iteration']) == ('best_paired_psnr_iter_4.pth', 4)
        assert test['metrics']['paired/psnr'] == 32.0
        page = (work_dir / 'report.html').read_text()
        assert '>32.000<' in page and '>50.000<' in page and '>31.000<' not in page
        assert page.count('data:image/svg') == 2  # the curves of the training are still there
    finally:
        (work_dir / 'results.json').write_text(json.dumps(before))


def test_a_test_in_an_empty_folder(config, trained, tmp_path):
    (tmp_path / 'weights.pth').symlink_to(trained[0] / 'iter_6.pth')
    run_test(config, tmp_path, 'weights.pth', 33.0)
    results = read(tmp_path)
    assert set(results) == {'config', 'sesim_mmagic', 'tests'}
    assert results['tests'][0]['checkpoint'] == 'weights.pth'
    assert '33.000' in (tmp_path / 'report.html').read_text()
    # Elsewhere, and pages cannot be written there: the scores are.
    elsewhere = tmp_path / 'elsewhere'
    for page in ('report.html', 'test/index.html'):
        (elsewhere / page).mkdir(parents=True)
    cfg = tiny.load_config(
        config, elsewhere, load_from=str(tmp_path / 'weights.pth'), **options(config, [])
    )
    Runner.from_cfg(cfg).test()
    assert read(elsewhere)['tests'][0]['checkpoint'] == str(tmp_path / 'weights.pth')


def test_results_go_on_after_a_resume(config, trained, tmp_path):
    seen = {}
    with pytest.raises(KeyboardInterrupt):
        # Validated after 2 and 4; what came after the checkpoint of 4 is trained again.
        tiny.train(config, tmp_path, Losses(seen, last=5), **options(config, [21.0, 23.0]))
    broken = read(tmp_path)
    assert iterations(broken) == [2, 4] and broken['training']['iterations'] == 4
    tiny.train(config, tmp_path, resume=True, **options(config, [22.0]))
    resumed, whole = read(tmp_path), read(trained[0])
    assert iterations(resumed) == [2, 4, 6]
    assert [e['metrics']['paired/psnr'] for e in resumed['validation']['history']] == [21, 23, 22]
    assert resumed['losses'] == whole['losses']
    assert resumed['best'] == whole['best']
    assert resumed['training']['seconds'] > broken['training']['seconds']
    # Back to iteration 4: what was known of iteration 6 does not count any more.
    run_test(config, tmp_path, 'best_paired_psnr_iter_4.pth', 30.0)
    run_test(config, tmp_path, 'iter_6.pth', 40.0)
    assert len(read(tmp_path)['tests']) == 2
    tiny.train(config, tmp_path, resume=True, train_cfg__max_iters=8, **options(config, [24.0]))
    again = read(tmp_path)
    assert iterations(again) == [2, 4, 6, 8]
    assert [test['iteration'] for test in again['tests']] == [4, 6]


def test_what_belongs_to_later_iterations_is_forgotten(config, tmp_path):
    settings = options(config, [21.0, 23.0, 22.0], default_hooks__checkpoint__max_keep_ckpts=5)
    tiny.train(config, tmp_path, **settings).test()
    settings = options(config, [25.0, 24.0])
    tiny.train(config, tmp_path, resume=True, load_from=str(tmp_path / 'iter_2.pth'), **settings)
    results = read(tmp_path)
    assert [e['metrics']['paired/psnr'] for e in results['validation']['history']] == [21, 25, 24]
    assert results['tests'] == []


def test_a_new_training_starts_a_new_record(config, tmp_path):
    settings = options(config, [21.0], train_cfg__max_iters=2)
    tiny.train(config, tmp_path, **settings).test()
    before = read(tmp_path)
    with pytest.raises(ValueError, match=r'iter_2.pth.*--resume.*--overwrite'):
        tiny.train(config, tmp_path, **settings)
    assert read(tmp_path) == before
    overwrite_training(tmp_path)
    tiny.train(config, tmp_path, **settings)
    results = read(tmp_path)
    assert iterations(results) == [2] and 'tests' not in results


def test_validation_on_test_pictures_is_named_so(config, tmp_path):
    """The paper picks the best checkpoint on the test set; the record does not hide it."""
    settings = options(config, [21.0], train_cfg__max_iters=2)
    settings['val_dataloader'].dataset.update(split='test', held_out=0)
    tiny.train(config, tmp_path, **settings)
    assert read(tmp_path)['validation']['split'] == 'test'


@pytest.mark.parametrize('held_out', [0, 1])
def test_pictures_held_out_are_not_those_of_the_training(config, tmp_path, held_out):
    settings = options(config, [], train_dataloader__dataset__held_out=held_out)
    message = f'held_out=2, and held_out={held_out} in train_dataloader.dataset, which trains on'
    with pytest.raises(ValueError, match=message):
        tiny.train(config, tmp_path, **settings)


def test_without_any_metric(config, tmp_path):
    settings = options(config, [], default_hooks__checkpoint__save_best=None)
    settings['val_evaluator'] = settings['test_evaluator'] = dict(
        type='mmengine.Evaluator', metrics=[]
    )
    tiny.train(config, tmp_path, train_cfg__max_iters=2, **settings).test()
    results = read(tmp_path)
    assert iterations(results) == [2]
    assert all(entry['metrics'] == {} for entry in results['validation']['history'])
    assert results['best'] == [] and results['tests'][0]['metrics'] == {}
    assert 'iter_2.pth' in (tmp_path / 'report.html').read_text()


def test_results_that_cannot_be_read(config, trained, tmp_path):
    assert read_results(tmp_path) is None
    for content, problem in (
        ('{"validation": ', 'it is no JSON'),
        ('[' * 100_000, 'it is no JSON'),
        ('{"best": 3}', 'best should be a list, but is 3'),
        ('{"tests": [{"metrics": [1]}]}', 'tests.0. lacks iteration'),
        ('{"losses": {"loss_g": 3}}', 'losses.loss_g should be a list'),
        ('{"validation": {"split": "val", "pictures": 2, "history": [3]}}', 'history.0. should'),
        ('[1]', 'it should be a mapping'),
    ):
        (tmp_path / 'results.json').write_text(content)
        message = rf"results\.json' does not hold .*{problem}.*: move it away"
        with pytest.raises(ValueError, match=message):
            read_results(tmp_path)
    (tmp_path / 'iter_6.pth').symlink_to(trained[0] / 'iter_6.pth')
    with pytest.raises(ValueError, match=r"results\.json' does not hold"):
        run_test(config, tmp_path, 'iter_6.pth', 1.0)
    assert not (tmp_path / 'test').exists()  # said before the work
    assert (tmp_path / 'results.json').read_text() == content


def test_long_curves_are_means_of_parts(monkeypatch):
    from sesim_mmagic.engine.hooks import results as module

    monkeypatch.setattr(module, '_CURVE_POINTS', 3)
    hub = MessageHub('curves')
    for value in (1, 2, 4, math.nan, 7):
        hub.update_scalar('train/loss_structure', value)
    hub.update_scalar('train/time', 1)
    # A loss that begins later is in its place.
    for iteration in (5, 9):
        curves = module._loss_curves(SimpleNamespace(message_hub=hub, iter=iteration))
        ends = [iteration - 3, iteration - 1, iteration]
        assert curves == dict(loss_structure=[[ends[0], 1.5], [ends[1], None], [ends[2], 7.0]])


def test_hook_runs_after_what_it_reports(config, tmp_path):
    runner = Runner.from_cfg(tiny.load_config(config, tmp_path, **options(config, [])))
    assert isinstance(runner.hooks[-1], ResultsHook)
