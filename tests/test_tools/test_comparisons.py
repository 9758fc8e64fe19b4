"""Comparisons of methods: refused before the work, resumed, reported."""

import importlib
import json
import re
import shutil
from contextlib import redirect_stdout
from dataclasses import asdict, replace
from functools import partial, reduce
from io import StringIO
from operator import getitem
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models.vgg import cfgs, make_layers

from sesim_mmagic.datasets import write_shapes

ROOT = Path(__file__).resolve().parents[2]
COMPARISON = """
data_root: data/shapes_mismatch
domains: [textured, flat]
scores: [boundary_f1, psnr]
seeds: [1, 2]
split: val
budgets:
  4 steps: {iterations: 4}
  equal time: {minutes: 0.001}
methods:
  FSeSim: {config: configs/fsesim/fsesim_resnet-w24_1xb4-500iters_shapes64.py, step_ms: 20}
  LSeSim:
    config: configs/lsesim/lsesim_resnet-w24_1xb4-500iters_shapes64.py
    step_ms: 30.0
    settings: {model.structure_loss.loss_weight: 2.5}
"""


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    out = tmp_path_factory.mktemp('dataset') / 'dataset'
    return write_shapes(out, num_train=8, num_val=4, num_test=8)


@pytest.fixture(scope='module')
def comparison(call, dataset, tmp_path_factory):
    """File, folder and output of a comparison of two methods; one seed has run."""
    folder = tmp_path_factory.mktemp('compare')
    file = folder / 'tiny.yaml'
    file.write_text(COMPARISON)
    with redirect_stdout(StringIO()) as output:
        call('compare', file, '--data-root', dataset, '--out', folder, '--seeds', 1)
    return file, folder, output.getvalue()


def test_a_comparison_at_both_budgets(comparison, dataset):
    _, folder, output = comparison
    table = (folder / 'tiny_table.md').read_text()
    assert table in output
    lines = [line.strip('| ').split(' | ') for line in table.splitlines()]
    titles = ['budget', 'method', 'iterations', 'ms a step', 'seeds', 'peak MB']
    assert lines[0] == [*titles, 'boundary_f1', 'psnr']
    assert [line[:5] for line in lines[2:]] == [
        ['4 steps', 'FSeSim', '4', '20', '1 of 1'],
        ['4 steps', 'LSeSim', '4', '30', '1 of 1'],
        ['equal time', 'FSeSim', '3', '20', '1 of 1'],
        ['equal time', 'LSeSim', '2', '30', '1 of 1'],
    ]
    results = json.loads((folder / 'tiny_results.json').read_text())
    assert [r['run']['iterations'] for r in results] == [4, 4, 3, 2]
    run = results[1]['run']
    assert run['settings']['model.structure_loss.loss_weight'] == 2.5
    assert run['data_root'] == str(dataset)
    written = json.loads(Path(run['work_dir'], 'results.json').read_text())['tests'][0]
    assert written['split'] == 'val (held-out)'
    scores = {key.split('/')[1]: score for key, score in written['metrics'].items()}
    assert results[1]['scores'] == scores
    assert float(lines[3][-2]) == pytest.approx(scores['boundary_f1'], abs=5e-4)
    for budget in ('4-steps', 'equal-time'):
        grid = Image.open(folder / f'tiny_{budget}.png')
        assert grid.width > 4 * 64 and grid.height > 4 * 64, '4 scenes'


def test_held_out_pictures_need_no_truth(comparison, dataset, call):
    file, folder, _ = comparison
    width = Image.open(folder / 'tiny_4-steps.png').width
    truths = list(folder.rglob('truths'))
    for path in truths:
        path.rename(path.with_name('away'))
    call('compare', file, '--data-root', dataset, '--out', folder, '--seeds', 1, '--report')
    assert width - Image.open(folder / 'tiny_4-steps.png').width >= 64, 'a column less'
    for path in truths:
        path.with_name('away').rename(path)


def test_translations_that_somebody_removed(comparison, dataset, call, capsys):
    file, folder, _ = comparison
    test = folder / 'tiny/lsesim_4iters_seed1/test'
    (test / 'translations').rename(test / 'away')
    with pytest.raises(SystemExit):
        call('compare', file, '--data-root', dataset, '--out', folder, '--seeds', 1, '--report')
    assert "test/translations/flat' holds 0 of 4 translations: remove" in capsys.readouterr().err
    (test / 'away').rename(test / 'translations')


def test_a_comparison_runs_nothing_twice_and_reports_what_is_missing(
    comparison, dataset, call, capsys
):
    file, folder, output = comparison
    written = {path: path.stat().st_mtime_ns for path in folder.rglob('iter_*.pth')}
    place = '--data-root', dataset, '--out', folder
    call('compare', file, *place, '--seeds', 1, '--budgets', '4 steps')
    again = capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in folder.rglob('iter_*.pth')} == written
    assert again.startswith('2 of 2 trainings are done already and not repeated')
    lines = [line for line in output.splitlines() if '| 4 steps |' in line]
    assert lines == [line for line in again.splitlines() if '| 4 steps |' in line]
    call('compare', file, *place, '--report')
    assert len(re.findall(r'\| 1 of 2 \|', capsys.readouterr().out)) == 4


def test_a_judge_scores_the_translations_as_sets(comparison, dataset, call, capsys, tmp_path):
    file, folder, _ = comparison
    judge = tmp_path / 'judge.pth'
    weights = make_layers(cfgs['D']).state_dict()
    torch.save({f'features.{name}': weight for name, weight in weights.items()}, judge)
    place = '--data-root', dataset, '--out', folder, '--methods', 'FSeSim', '--report'
    call('compare', file, *place, '--judge', judge)
    header, *rows = re.findall(r'^\| (?:budget|4 steps).*', capsys.readouterr().out, re.M)
    names, values = (
        [cell.strip() for cell in line.strip('| ').split('|')] for line in (header, rows[0])
    )
    found = dict(zip(names, values, strict=True))
    test = folder / 'tiny/fsesim_4iters_seed1/test'
    pictures = [np.array(Image.open(path)) for path in (test / 'truths/flat').glob('*.png')]
    spread = np.stack([p.mean((0, 1)) for p in pictures]).var(0).mean() ** 0.5
    assert float(found['colours of truth']) == pytest.approx(spread, rel=0.02)
    assert float(found['judge KID']) != 0 and float(found['SWD']) > 0
    results = json.loads((folder / 'tiny_results.json').read_text())
    noted = next(r for r in results if (r['budget'], r['run']['seed']) == ('4 steps', 1))
    assert noted['judged']['SWD'] == pytest.approx(float(found['SWD']), rel=0.01)
    with pytest.raises(SystemExit):
        call('compare', file, *place, '--judge', tmp_path / 'none.pth')
    assert "none.pth' does not exist" in capsys.readouterr().err


def test_the_time_of_a_step(comparison, dataset, call, capsys, monkeypatch):
    file, folder, _ = comparison
    monkeypatch.setattr(importlib.import_module('compare'), 'TIMED', 3)
    before = sorted(folder.rglob('*'))
    call('compare', file, '--data-root', dataset, '--out', folder, '--time')
    lines = re.findall(r'^(.*): step_ms: (.*)', capsys.readouterr().out, re.M)
    milliseconds = {title: float(value) for title, value in lines}
    assert list(milliseconds) == ['FSeSim', 'LSeSim'] and 5 < min(milliseconds.values()) < 5000
    assert sorted(folder.rglob('*')) == before, 'nothing is to be trained'


@pytest.mark.parametrize(
    ('change', 'arguments', 'message'),
    [
        (('scores', 'score'), (), "tiny.yaml': the file does not know 'score'; it holds data_root"),
        (('domains: [textured, flat]', ''), (), "tiny.yaml': the file lacks 'domains'"),
        (('step_ms', 'ms'), (), "tiny.yaml': FSeSim does not know 'ms'; it holds config, settings"),
        ((', step_ms: 20', ''), (), 'FSeSim has no step_ms, and a budget is in minutes'),
        (('{minutes: 0.001}', '{hours: 1}'), (), "budget 'equal time' must be {minutes: M} or"),
        (
            ('model.structure_loss.loss_weight: 2.5', 'randomness.seed: 5'),
            (),
            "tiny.yaml': LSeSim: settings: a comparison sets randomness.seed itself",
        ),
        (('', ''), ('--methods', 'CUT'), "has no 'CUT', it has 'FSeSim', 'LSeSim'"),
        (('', ''), ('--budgets', '4'), "has no '4', it has '4 steps', 'equal time'"),
        (('{iterations: 4}', '{iterations: four}'), (), 'iterations must be a finite number above'),
        (('step_ms: 20', 'step_ms: 0'), (), 'FSeSim: Method: step_ms must be a finite number abo'),
        (('seeds: [1, 2]', 'seeds: 1'), (), 'seeds must be a list that is not empty, got 1'),
        (('split: val', 'split: vall'), (), "split must be one of 'test', 'val', got 'vall'"),
        (('split: val', 'amp: bf16'), (), "amp must be True or False, got 'bf16'"),
        (('LSeSim:', 'fSeSim:'), (), "'fSeSim' and 'FSeSim' would train in one folder"),
        (('settings: {', 'settings: {modelx.x: 1, '), (), 'LSeSim: settings modelx.x: nothing rea'),
        (('loss.loss_w', 'loss.los_w'), (), 'LSeSim: model.structure_loss.los_weight: LSeSimLo'),
        (('configs/lsesim', 'configs/lesim'), (), "resnet-w24_1xb4-500iters_shapes64.py' does not"),
        (('textured, flat', 'textured, flatt'), (), "no domains ['textured', 'flatt']"),
        (('', ''), ('--data-root', 'none'), "FSeSim: data_root 'none' is not a folder"),
    ],
)
def test_a_comparison_refuses(call, capsys, dataset, tmp_path, change, arguments, message):
    file = tmp_path / 'tiny.yaml'
    file.write_text(COMPARISON.replace(*change))
    with pytest.raises(SystemExit):
        call('compare', file, '--data-root', dataset, *arguments, '--out', tmp_path / 'out')
    assert message in capsys.readouterr().err and not (tmp_path / 'out').exists()


def command_line(**given):
    """What a command line says to ``read_comparison``."""
    unsaid = dict.fromkeys(('methods', 'budgets', 'seeds', 'data_root'))
    return SimpleNamespace(**{**unsaid, 'search_weights': False, **given})


FILES = sorted((ROOT / 'tools/benchmark/comparisons').glob('*.yaml'))
SEARCHED = [file for file in FILES if 'weight_search' in file.read_text()]


@pytest.mark.parametrize(
    ('file', 'search'), [(f, False) for f in FILES] + [(f, True) for f in SEARCHED]
)
def test_comparisons_of_the_repository(call, file, search):
    from trainings import load_config

    from sesim_mmagic.apis.settings import check_components

    compare = importlib.import_module('compare')
    comparison = compare.read_comparison(file, command_line(search_weights=search))
    trainings = compare.trainings_of(comparison, Path('out'))
    assert len({training.work_dir for training in trainings.values()}) == len(trainings)
    for training in {t.title: t for t in trainings.values()}.values():
        config = load_config(training)
        check_components(config)
        model = config.model
        assert [model.get('source_domain'), model.get('target_domain')] == comparison.domains or (
            set(model.related_domains) == set(comparison.domains)
        )


RECIPES = {
    'no structure loss': 'baselines/no-structure',
    'CUT': 'cut/cut',
    'CycleGAN': 'cyclegan/cyclegan',
    'FSeSim': 'fsesim/fsesim',
    'LSeSim': 'lsesim/lsesim',
}


@pytest.mark.parametrize('title, recipe', RECIPES.items())
def test_recipes_train_what_was_compared(call, title, recipe):
    """On KaoKore, where trainings of the comparison are released as models of these recipes."""
    from mmengine.config import Config
    from trainings import load_config

    from sesim_mmagic.apis.config_files import set_everywhere

    compare = importlib.import_module('compare')
    file = ROOT / 'tools/benchmark/comparisons/methods_kaokore_long.yaml'
    title += ', discriminators at a constant rate'
    comparison = compare.read_comparison(file, command_line(methods=[title], seeds=[2022]))
    (training,) = compare.trainings_of(replace(comparison, amp=False), Path('out')).values()
    name = f'configs/{recipe}_resnet-w32-projected_1xb1-4kiters_kaokore128.py'
    compared, recipe = load_config(training), Config.fromfile(ROOT / name)
    set_everywhere(recipe, 'max_iters', training.iterations)
    of_loader = 'batch_size', 'sampler', 'dataset.type', 'dataset.pipeline'
    parts = 'model', 'optim_wrapper', 'param_scheduler'
    for part in (*parts, *(f'train_dataloader.{part}' for part in of_loader)):
        found = [reduce(getitem, part.split('.'), config) for config in (recipe, compared)]
        assert json.dumps(found[0], sort_keys=True) == json.dumps(found[1], sort_keys=True), part


def test_a_comparison_in_mixed_precision(call, tmp_path):
    from trainings import load_config

    compare = importlib.import_module('compare')
    for amp in (False, True):
        (tmp_path / 'tiny.yaml').write_text(COMPARISON + f'amp: {amp}'.lower())
        comparison = compare.read_comparison(tmp_path / 'tiny.yaml', command_line())
        for training in compare.trainings_of(comparison, tmp_path).values():
            for optimizer in load_config(training).optim_wrapper.values():
                if isinstance(optimizer, dict):
                    assert ('Amp' in optimizer.type) is amp


SEARCH = """
_base_: tiny.yaml
split: test
settings: {model.structure_loss.num_patches: 32}
weight_search:
  budget: {iterations: 2}
  scores: [boundary_f1, ssim]
  settings: {test_dataloader.dataset.paired: true}
methods:
  FSeSim: {weights: [0.5, 20]}
  none:
    config: configs/baselines/no-structure_resnet-w24_1xb4-500iters_shapes64.py
    step_ms: 10
"""


@pytest.fixture(scope='module')
def search(call, dataset, tmp_path_factory):
    """File, folder and output of a search that has run."""
    folder = tmp_path_factory.mktemp('search')
    (folder / 'tiny.yaml').write_text(COMPARISON)
    file = folder / 'search.yaml'
    file.write_text(SEARCH)
    with redirect_stdout(StringIO()) as output:
        call('compare', file, '--data-root', dataset, '--out', folder, '--search-weights')
    return file, folder, output.getvalue()


def test_a_search_for_weights_looks_at_held_out_pictures(search):
    _, folder, output = search
    results = json.loads((folder / 'search_weights_results.json').read_text())
    assert [run['method'] for run in results] == ['FSeSim of weight 0.5', 'FSeSim of weight 20']
    means = [np.mean([r['scores'][name] for name in ('boundary_f1', 'ssim')]) for r in results]
    best = '20' if means[1] > means[0] else '0.5'
    listed = ', '.join(f'{w}: {mean:.3f}' for w, mean in zip(['0.5', '20'], means, strict=True))
    assert output.endswith(f'FSeSim: weight {best} (mean of scores {listed})\n')
    for result, weight in zip(results, [0.5, 20], strict=True):
        run = result['run']
        assert run['settings'] == {
            'model.structure_loss.num_patches': 32,
            'test_dataloader.dataset.paired': True,
            'model.structure_loss.loss_weight': weight,
            'test_dataloader.dataset.split': 'val',
        }
        assert (run['iterations'], run['seed']) == (2, 2022)
        written = json.loads(Path(run['work_dir'], 'results.json').read_text())['tests'][0]
        assert written['split'] == 'val (held-out)'


def test_a_search_chooses_nothing_by_half(search, call, dataset, capsys):
    file, folder, _ = search
    place = '--data-root', dataset, '--out', folder, '--search-weights', '--report'
    call('compare', file, *place, '--seeds', 2022, 5)
    again = capsys.readouterr().out
    assert again.endswith('FSeSim: no choice yet, trainings are missing\n')
    file.write_text(SEARCH.replace('ssim', 'psnr'))
    for trains in (['--report'], ['--seeds', 2022, 5]):  # the latter would train with seed 5
        with pytest.raises(SystemExit):
            call('compare', file, *place[:-1], *trains)
        message = capsys.readouterr().err
        assert 'weight_search.scores: psnr is ' in message and 'in [0, 1]' in message
    assert not list(Path(folder).glob('*/*seed5/results.json'))
    with pytest.raises(SystemExit):  # a rehearsal of two iterations
        call('compare', file, *place[:3], folder / 'fresh', '--search-weights')
    assert 'psnr is ' in capsys.readouterr().err
    assert not list(Path(folder, 'fresh').rglob('results.json'))
    file.write_text(SEARCH)


def test_a_search_needs_scores_of_which_more_is_better(call):
    compare = importlib.import_module('compare')
    compare.check_choice_by('FSeSim', {'ssim': 0.5})
    with pytest.raises(compare.command_line.CommandError, match='kid_vgg16 is 0.004 for FSeSim'):
        compare.check_choice_by('FSeSim', {'ssim': 0.5, 'kid_vgg16': 0.004})


def test_a_search_sets_the_weight_of_a_whole_loss(call):
    """Where a method's settings are the loss itself, the weight is in it, and the file's stays."""
    comparison = importlib.import_module('comparison')
    loss = {'_delete_': True, 'type': 'sesim_mmagic.PixelLoss', 'loss_weight': 3.0}
    settings = {'model.structure_loss': loss, 'model.structure_loss.loss_weight': 5.0}
    method = comparison.Method('config.py', settings, weights=(7,))
    found = method.weighted(7, {})
    assert found.settings == {'model.structure_loss': {**loss, 'loss_weight': 7}}
    assert method.settings['model.structure_loss']['loss_weight'] == 3.0
    with pytest.raises(ValueError, match='a weight is searched, but model.structure_loss is None'):
        method.weighted(7, {'model.structure_loss': None})


def test_a_file_over_another_merges_methods_and_settings(call, tmp_path):
    """And nothing deeper: what a setting is, a file says whole."""
    tiny = COMPARISON.replace('2.5}', '2.5, a: {_delete_: true}}')
    (tmp_path / 'tiny.yaml').write_text(f'{tiny}\nsettings: {{c: 1, d: {{y: 2}}}}')
    file = tmp_path / 'over.yaml'
    file.write_text(
        '_base_: tiny.yaml\ndomains: [a, b]\nsettings: {d: {z: 3}}\n'
        'methods:\n  LSeSim: {settings: {b: {x: 1}}}\n  new: {config: c.py}'
    )
    found = importlib.import_module('compare').read_comparison(file, command_line(seeds=[7]))
    assert (found.domains, found.seeds, found.split) == (['a', 'b'], [7], 'val')
    assert found.settings == {'c': 1, 'd': {'z': 3}}
    assert list(found.methods) == ['FSeSim', 'LSeSim', 'new']
    assert found.methods['LSeSim'].settings == {
        'model.structure_loss.loss_weight': 2.5,
        'a': {'_delete_': True},
        'b': {'x': 1},
    }
    assert found.methods['LSeSim'].step_ms == 30.0 and found.methods['FSeSim'].settings == {}
    higher = tmp_path / 'higher.yaml'
    higher.write_text('_base_: over.yaml\nmethods:\n  LSeSim: {settings: {b: 1}}')
    above = importlib.import_module('compare').read_comparison(higher, command_line(seeds=[7]))
    assert above.domains == ['a', 'b'] and list(above.methods) == ['FSeSim', 'LSeSim', 'new']
    assert above.methods['LSeSim'].settings == found.methods['LSeSim'].settings | {'b': 1}


def test_a_part_is_set_after_its_whole(call, tmp_path):
    """Also where the base, or the file, sets that part: a later whole loss would undo it."""
    compare = importlib.import_module('compare')
    part, whole = 'model.structure_loss.loss_weight', 'model.structure_loss'
    own = f'{{{whole}: {{_delete_: true}}, {part}: 3}}'
    (tmp_path / 'tiny.yaml').write_text(f'{COMPARISON}\nsettings: {{{part}: 5}}')
    file = tmp_path / 'over.yaml'
    file.write_text(f'_base_: tiny.yaml\nmethods:\n  LSeSim: {{settings: {own}}}')
    comparison = compare.read_comparison(file, command_line(methods=['LSeSim'], seeds=[7]))
    assert list(comparison.methods['LSeSim'].settings) == [whole, part]
    for training in compare.trainings_of(comparison, tmp_path).values():
        assert list(training.settings)[:2] == [whole, part] and training.settings[part] == 3


def test_a_method_like_another(call, tmp_path):
    """It may be one of the base; its own settings come later, and its weights are not searched."""
    tiny = COMPARISON.replace('step_ms: 30.0', 'step_ms: 30.0\n    weights: [1, 3]')
    (tmp_path / 'tiny.yaml').write_text(tiny)
    file = tmp_path / 'over.yaml'
    file.write_text('_base_: tiny.yaml\nmethods:\n  other: {like: LSeSim, settings: {b: 1}}')
    found = importlib.import_module('compare').read_comparison(file, command_line(seeds=[7]))
    first, other = found.methods['LSeSim'], found.methods['other']
    assert other == replace(first, weights=(), settings={**first.settings, 'b': 1})
    assert first.weights == [1, 3] and 'b' not in first.settings


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ('\nsettings: 5', 'tiny.yaml: settings must be values by dotted keys, got 5'),
        (
            '\n  none: {settings: [x]}',
            "none of tiny.yaml: settings must be values by dotted keys, got ['x']",
        ),
        ('\n  none: 5', 'none of tiny.yaml must be settings by their names, got 5'),
        ('\n  none: {like: 5}', 'none: like must name a method with a config of its own, got 5'),
        ('\n  none: {like: none}', 'none: like must name a method with a config of its own'),
    ],
)
def test_what_a_base_says_wrongly_is_refused(call, capsys, tmp_path, change, message):
    (tmp_path / 'tiny.yaml').write_text(COMPARISON.rstrip() + change)
    file = tmp_path / 'over.yaml'
    file.write_text('_base_: tiny.yaml\nsettings: {a: 1}\nmethods: {none: {settings: {b: 1}}}')
    with pytest.raises(SystemExit):
        call('compare', file, '--out', tmp_path / 'o')
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ('change', 'arguments', 'message'),
    [
        (('[0.5, 20]', '0.5'), (), 'Method: weights must be a list that is not empty, got 0.5'),
        (('0.5, 20', '0, 20'), (), 'Method: weights must be a finite number above 0'),
        (('0.5, 20', '1, 1.0'), (), 'FSeSim: [1, 1.0] has a weight twice'),
        (('budget:', 'budgets:'), (), "weight_search does not know 'budgets'; it holds budget"),
        (('{iterations: 2}', '{hours: 2}'), (), "budget 'weight search' must be {minutes: M} or"),
        (('[boundary_f1, ssim]', 'ssim'), (), 'scores must be a list that is not empty'),
        (
            ('20]}', '20], settings: 5}'),
            (),
            'FSeSim: settings must be values by dotted keys, got 5',
        ),
        (('{model.structure_loss.num_patches: 32}', ''), (), 'settings must be values by dotted'),
        (('weight_search', 'weight_searches'), (), "the file does not know 'weight_searches'"),
        (('tiny.yaml', 'teny.yaml'), (), 'teny.yaml'),
        (('tiny.yaml', 'tiny.py'), (), "tiny.py' must be a YAML file"),
        (('tiny.yaml', '[tiny.yaml]'), (), '_base_ must be the name of a file beside this one'),
        (('tiny.yaml', 'search.yaml'), (), '_base_: search.yaml on search.yaml stands on itself'),
        (('settings: {model', 'settings: {modelx'), (), 'modelx'),
        (('weights: [0.5, 20]', 'step_ms: 1'), (), 'no weights to search: FSeSim, LSeSim, none'),
        ((SEARCH, COMPARISON), (), 'it has no weight_search'),
        (('', ''), ('--methods', 'FSeSim', 'LSeSim'), "'LSeSim' has no weights to search"),
        (('', ''), ('--budgets', '4 steps'), '--budgets: a search has the budget of weight_search'),
        (('', ''), ('--time',), '--search-weights goes with neither --judge nor --time'),
        (('', ''), (Path('other/search.yaml'),), 'have one name'),
    ],
)
def test_a_search_for_weights_refuses(
    call, capsys, dataset, tmp_path, monkeypatch, change, arguments, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'other').mkdir()
    for file in ('tiny.yaml', 'search.yaml', 'other/tiny.yaml', 'other/search.yaml'):
        content = COMPARISON if 'tiny' in file else SEARCH.replace(*change)
        (tmp_path / file).write_text(content)
    files = [a for a in arguments if isinstance(a, Path)]
    options = [a for a in arguments if a not in files]
    place = '--data-root', dataset, '--out', tmp_path / 'o', '--search-weights'
    with pytest.raises(SystemExit):
        call('compare', 'search.yaml', *files, *place, *options)
    assert message in capsys.readouterr().err and not (tmp_path / 'o').exists()


def test_a_misspelt_score_is_found_before_the_trainings(
    comparison, dataset, call, capsys, tmp_path, monkeypatch
):
    """A test alone knows its scores: two iterations and a test go before hours."""
    _, folder, output = comparison
    assert output.startswith('Rehearsal') and not list(folder.glob('tiny/rehearsal*'))
    rehearsed = []

    def train_all(trainings, jobs):
        rehearsed.extend(trainings)
        shutil.copytree(folder / 'tiny/fsesim_4iters_seed1', trainings[0].work_dir)
        settings = json.dumps(asdict(trainings[0]))
        Path(trainings[0].work_dir, 'settings.json').write_text(settings)

    monkeypatch.setattr(importlib.import_module('compare'), 'train_all', train_all)
    (tmp_path / 'tiny.yaml').write_text(COMPARISON.replace('psnr', 'psrn'))
    with pytest.raises(SystemExit):
        call('compare', tmp_path / 'tiny.yaml', '--data-root', dataset, '--out', tmp_path)
    message = capsys.readouterr().err
    assert re.search(r"scores: the test of FSeSim has no 'psrn', it has .*psnr", message)
    assert [training.iterations for training in rehearsed] == [2]
    assert not list(tmp_path.rglob('*.pth'))


def test_a_training_that_fails_names_its_log(call, tmp_path):
    from trainings import Training, train_all

    config = 'configs/fsesim/fsesim_resnet-w24_1xb4-500iters_shapes64.py'
    training = Training('FSeSim', config, str(tmp_path), str(tmp_path / 'none'), 2, 1)
    with pytest.raises(SystemExit, match=r'FSeSim failed; its log is .*log.txt'):
        train_all([training])
    assert 'is not a folder' in (tmp_path / 'log.txt').read_text()


def test_two_processes_do_not_train_in_one_folder(call, tmp_path):
    from trainings import Training, hold, train, train_all

    training = Training('FSeSim', 'config.py', str(tmp_path), 'data', 5, 1)
    # The second process looks first, and its training takes the folder.
    for begin in (partial(train_all, [training]), partial(train, training, None)):
        with hold(str(tmp_path)), pytest.raises(ValueError, match='another process trains in'):
            begin()
    hold(str(tmp_path)).close()


def test_results_of_other_settings_are_not_taken(call, tmp_path):
    from trainings import Training

    training = Training('FSeSim', 'config.py', str(tmp_path), 'data', 5, 1)
    assert training.results() is None
    (tmp_path / 'settings.json').write_text(json.dumps({**asdict(training), 'iterations': 6}))
    with pytest.raises(ValueError, match='training of other settings .*remove'):
        training.results()


def test_maps_of_trained_heads(comparison, dataset, call, capsys, tmp_path):
    _, folder, _ = comparison
    config = ROOT / 'configs/lsesim/lsesim_resnet-w24_1xb4-500iters_shapes64.py'
    checkpoint = folder / 'tiny/lsesim_4iters_seed1/iter_4.pth'
    figure = tmp_path / 'figure/maps.png'
    pictures = dataset / 'testB/00000.png', '--side', 64
    call('learned_maps', config, checkpoint, *pictures, '--out', figure)
    output = capsys.readouterr().out
    for layer in ('relu1_2', 'relu2_2'):
        assert re.search(rf'^{layer}: VGG16 \d\.\d\d, untrained \d\.\d\d, trained', output, re.M)
    assert Image.open(figure).width > 500
