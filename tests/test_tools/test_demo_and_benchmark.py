"""The demo and the comparisons run as the README says, only shorter."""

import importlib
import json
import re
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from PIL import Image, ImageDraw
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
def call():
    """Calls the ``main`` of a tool in this process."""
    with pytest.MonkeyPatch.context() as patch:
        for folder in ('benchmark', 'analysis'):
            patch.syspath_prepend(str(ROOT / 'tools' / folder))

        def run(name, *argv):
            patch.setattr(sys, 'argv', [name, *map(str, argv)])
            importlib.import_module(name).main()

        yield run
    DefaultScope._instance_dict.clear()


def run(*command):
    return subprocess.run(
        [sys.executable, *map(str, command)], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout


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


def write_squares(folder):
    """Four outlines and four filled squares for each part, as tools/demo.py renders OpenMoji's."""
    for part in ('train', 'val', 'test'):
        for side, fill in (('A', 'white'), ('B', 'orange')):
            (folder / f'{part}{side}').mkdir(parents=True)
            for i in range(4):
                picture = Image.new('RGB', (128, 128), 'white')
                corners = 16 + 8 * i, 24, 100, 112 - 8 * i
                ImageDraw.Draw(picture).rectangle(corners, fill, 'black', 4)
                picture.save(folder / f'{part}{side}/{i}.png')


@pytest.mark.quick
def test_demo_ends_with_a_table_pictures_and_commands_that_work(tmp_path):
    write_squares(tmp_path / 'dataset')  # rendering OpenMoji takes half a minute
    output = run('tools/demo.py', '--out', tmp_path, '--scale', 0.008)
    assert f"Goes on with the drawings of '{tmp_path / 'dataset'}'" in output
    scores, advice = re.split(r'\n\n(?=Drawings)', output)
    assert re.search(r'^\s+FSeSim\s+no structure', scores, re.M)
    for name in (
        'steps',
        'minutes',
        'coloured',
        'of one',
        'still white',
        'still dark',
        'outlines',
        'PSNR',
    ):
        assert re.search(rf'^{name}.*  [\d.]+(%| dB)? +[\d.]+(%| dB)? *$', scores, re.M), name
    pages = [Path(path) for path in re.findall(r'\S+\.html', advice)]
    text = pages[0].read_text()
    pictures = [tmp_path / source for source in re.findall(r'src="([^"]+)"', text)]
    assert len(pictures) == 4 * 4, 'drawing, two translations and truth of 4 drawings'
    assert all(Image.open(picture).size == (128, 128) for picture in pictures)
    grid = Image.open(tmp_path / 'demo.png')
    assert grid.width > 4 * 128 and grid.height > 4 * 128, 'four rows of 4 drawings'
    assert 'ground_white' in pages[1].read_text()
    command = re.search(r'python (tools/translate.py .*)', advice)[1].split()
    run(*command, '--device', 'cpu')
    assert len(list((tmp_path / 'translated').glob('*.png'))) == 4
    paths = [
        path for path in re.findall(r'--model (\S+)|--pictures (\S+)', advice) for path in path
    ]
    assert all(Path(path).exists() for path in paths if path)


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
    with pytest.raises(SystemExit):
        call('compare', file, *place, '--judge', tmp_path / 'none.pth')
    assert "none.pth' does not exist" in capsys.readouterr().err


def test_the_time_of_a_step_is_measured_alone(comparison, dataset, call, capsys, monkeypatch):
    file, folder, _ = comparison
    monkeypatch.setattr(importlib.import_module('compare'), 'TIMED', 3)
    call('compare', file, '--data-root', dataset, '--out', folder, '--methods', 'FSeSim', '--time')
    milliseconds = float(re.search(r'^FSeSim: step_ms: (.*)', capsys.readouterr().out, re.M)[1])
    noted = json.loads(next(folder.rglob('timing/*/results.json')).read_text())
    assert milliseconds == pytest.approx(noted['training']['seconds_per_iteration'] * 1e3, abs=0.1)


@pytest.mark.parametrize(
    ('change', 'arguments', 'message'),
    [
        (('scores', 'score'), (), "tiny.yaml' does not know 'score'; it holds data_root, domains"),
        (('domains: [textured, flat]', ''), (), "tiny.yaml' lacks 'domains'"),
        (('step_ms', 'ms'), (), "tiny.yaml': FSeSim does not know 'ms'; it holds config, settings"),
        ((', step_ms: 20', ''), (), 'FSeSim has no step_ms, and a budget is in minutes'),
        (('{minutes: 0.001}', '{hours: 1}'), (), "budget 'equal time' must be {minutes: M} or"),
        (('', ''), ('--methods', 'CUT'), "has no 'CUT', it has 'FSeSim', 'LSeSim'"),
        (('', ''), ('--budgets', '4'), "has no '4', it has '4 steps', 'equal time'"),
    ],
)
def test_a_comparison_refuses(call, capsys, tmp_path, change, arguments, message):
    file = tmp_path / 'tiny.yaml'
    file.write_text(COMPARISON.replace(*change))
    with pytest.raises(SystemExit):
        call('compare', file, *arguments, '--out', tmp_path / 'out')
    assert message in capsys.readouterr().err and not (tmp_path / 'out').exists()


@pytest.mark.parametrize('file', sorted((ROOT / 'tools/benchmark/comparisons').glob('*.yaml')))
def test_comparisons_of_the_repository(call, file):
    from trainings import load_config

    compare = importlib.import_module('compare')
    arguments = SimpleNamespace(methods=None, budgets=None, seeds=None, data_root=None)
    comparison = compare.read_comparison(file, arguments)
    trainings = compare.trainings_of(comparison, Path('out'))
    assert len({training.work_dir for training in trainings.values()}) == len(trainings)
    for training in {t.title: t for t in trainings.values()}.values():
        model = load_config(training).model
        assert [model.get('source_domain'), model.get('target_domain')] == comparison.domains or (
            set(model.related_domains) == set(comparison.domains)
        )


def test_a_training_that_fails_names_its_log(call, capsys, tmp_path):
    file = tmp_path / 'tiny.yaml'
    file.write_text(COMPARISON)
    with pytest.raises(SystemExit, match=r'FSeSim failed; its log is .*log.txt'):
        call('compare', file, '--data-root', tmp_path / 'none', '--jobs', 1, '--out', tmp_path)
    (log,) = tmp_path.rglob('log.txt')
    assert 'is not a folder' in log.read_text()


def test_results_of_other_settings_are_not_taken(call, tmp_path):
    from trainings import Training

    training = Training('FSeSim', 'config.py', str(tmp_path), 'data', 5, 1)
    assert training.results() is None
    (tmp_path / 'settings.json').write_text(json.dumps({**asdict(training), 'iterations': 6}))
    with pytest.raises(ValueError, match='training of other settings .*remove'):
        training.results()


def test_losses_benchmark_compares_equal_values(call, capsys, tmp_path):
    call('losses', '--repeats', 1, '--out', tmp_path / 'losses.json')
    pairs = json.loads((tmp_path / 'losses.json').read_text())['results']
    expected = [
        f'{loss}, patch size {side}, {form}'
        for loss, side in (('FSeSimLoss', 32), ('FSeSimLoss', 64), ('LSeSimLoss', 32))
        for form in ('dense', 'loop')
    ]
    assert [row['step'] for pair in pairs for row in pair] == expected
    printed = capsys.readouterr().out
    assert all(f'| {step} | ' in printed for step in expected)
    dense, loop = pairs[0]
    assert dense['peak MB'] < loop['peak MB'] / 4, 'windows are materialised'
    assert loop['of the first'] == [loop['ms'][0] / dense['ms'][0]]
    with pytest.raises(SystemExit):
        call('losses', '--reference', tmp_path)
    assert 'holds no models/sc_model.py' in capsys.readouterr().err


def test_whole_pictures_are_measured_whole_and_in_strips(call, capsys):
    config = 'configs/fsesim/fsesim_resnet-w24_1xb4-500iters_shapes64.py'
    sizes = '--sides', 64, 256, '--strips', 0, 64
    call('whole_picture', '--config', ROOT / config, *sizes)
    header, _, *lines = capsys.readouterr().out.splitlines()
    assert header.startswith('| side | styles | strips | device | GB above the float32 model | s')
    rows = [line.strip('| ').split(' | ') for line in lines]
    assert [row[:3] for row in rows] == [
        [side, '1', s] for side in ('64', '256') for s in '0 64'.split()
    ]
    assert float(rows[2][4]) > float(rows[0][4]) and all(float(row[5]) > 0 for row in rows)


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
