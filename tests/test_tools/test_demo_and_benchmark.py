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

import pytest
from mmengine.registry import DefaultScope
from PIL import Image, ImageDraw

from sesim_mmagic.datasets import write_shapes

ROOT = Path(__file__).resolve().parents[2]
METHODS = '--methods', 'fsesim', 'lsesim', '--iterations', 4, '--seeds', 1, '--lr-scale', 2


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
    """Folder and output of a comparison of two methods."""
    folder = tmp_path_factory.mktemp('structure')
    with redirect_stdout(StringIO()) as output:
        call('structure', 'mismatch', *METHODS, '--data-root', dataset, '--out', folder)
    return folder, output.getvalue()


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


def test_structure_benchmark_at_both_budgets(comparison, dataset):
    folder, output = comparison
    table = (folder / 'mismatch_table.md').read_text()
    assert table in output
    lines = [line.strip('| ').split(' | ') for line in table.splitlines()]
    assert lines[0][:5] == ['dataset', 'budget', 'method', 'iterations', 'steps/s']
    assert [line[:3] for line in lines[2:]] == [
        ['mismatch', budget, method]
        for budget in ('equal steps', 'equal time')
        for method in ('FSeSim', 'LSeSim')
    ]
    results = json.loads((folder / 'mismatch_results.json').read_text())
    by_method = {(r['budget'], r['method']): r for r in results}
    seconds = [by_method['equal steps', method]['step_seconds'] for method in ('fsesim', 'lsesim')]
    fitting = max(2, round(4 * seconds[0] / seconds[1]))
    assert by_method['equal time', 'lsesim']['run']['iterations'] == fitting
    assert by_method['equal time', 'fsesim'] == {
        **by_method['equal steps', 'fsesim'],
        'budget': 'equal time',
    }
    run = by_method['equal steps', 'lsesim']['run']
    assert run['settings']['optim_wrapper.structure_loss.optimizer.lr'] == pytest.approx(4e-4)
    assert run['data_root'] == str(dataset)
    written = json.loads(Path(run['work_dir'], 'results.json').read_text())
    scores = {key.split('/')[1]: score for key, score in written['tests'][0]['metrics'].items()}
    assert by_method['equal steps', 'lsesim']['scores'] == scores and scores['psnr'] > 0
    grid = Image.open(folder / 'mismatch_grid.png')
    assert grid.width > 4 * 128 and grid.height > 4 * 128, '4 scenes'


def test_structure_benchmark_runs_nothing_twice(comparison, dataset, call, capsys):
    folder, output = comparison
    written = {path: path.stat().st_mtime_ns for path in folder.rglob('iter_*.pth')}
    data = '--data-root', dataset
    call('structure', 'mismatch', *METHODS, *data, '--out', folder, '--steps-only')
    again = capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in folder.rglob('iter_*.pth')} == written
    assert again.startswith('2 of 2 trainings are done already and not repeated')
    steps = [line for line in output.splitlines() if '| equal steps |' in line]
    assert steps == [line for line in again.splitlines() if '| equal' in line]


def test_weights_are_compared_on_held_out_scenes(dataset, call, capsys, tmp_path):
    arguments = '--methods', 'pixel', '--weights', 0.5, 2, '--iterations', 2, '--seeds', 1
    call('structure', 'mismatch', *arguments, '--data-root', dataset, '--out', tmp_path)
    lines = [line.split(' | ') for line in capsys.readouterr().out.splitlines()]
    titles = [line[2] for line in lines if line[0] == '| mismatch']
    assert titles == ['pixel L1, weight 0.5', 'pixel L1, weight 2']
    work_dir = tmp_path / 'mismatch/pixel_seed1_2iters_weight2'
    settings = json.loads((work_dir / 'settings.json').read_text())['settings']
    assert settings['model.structure_loss.loss_weight'] == 2
    results = json.loads((work_dir / 'results.json').read_text())
    assert results['tests'][0]['split'] == 'val (held-out)'


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('mismatch', 'kaokore'), 'have different scores'),
        (('mismatch', '--methods', 'lsesim'), 'must hold fsesim'),
        (('mismatch', '--lr-scale', '0'), 'must be positive'),
    ],
)
def test_structure_benchmark_refuses(call, capsys, arguments, message):
    with pytest.raises(SystemExit) as error:
        call('structure', *arguments)
    assert error.value.code == 2 and message in capsys.readouterr().err


def test_a_training_that_fails_names_its_log(call, capsys, tmp_path):
    arguments = 'mismatch', '--methods', 'fsesim', '--iterations', 2, '--seeds', 1, '--steps-only'
    with pytest.raises(SystemExit, match=r'FSeSim failed; its log is .*log.txt'):
        call('structure', *arguments, '--data-root', tmp_path / 'none', '--out', tmp_path)
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
    folder, _ = comparison
    config = ROOT / 'configs/lsesim/lsesim_resnet-w24_1xb4-500iters_shapes64.py'
    checkpoint = folder / 'mismatch/lsesim_seed1_4iters/iter_4.pth'
    figure = tmp_path / 'figure/maps.png'
    pictures = dataset / 'testB/00000.png', '--side', 64
    call('learned_maps', config, checkpoint, *pictures, '--out', figure)
    output = capsys.readouterr().out
    for layer in ('relu1_2', 'relu2_2'):
        assert re.search(rf'^{layer}: VGG16 \d\.\d\d, untrained \d\.\d\d, trained', output, re.M)
    assert Image.open(figure).width > 500
