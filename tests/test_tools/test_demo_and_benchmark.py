"""The demo and the benchmark run as the README says, only shorter."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


def run(*command):
    return subprocess.run(
        [sys.executable, *map(str, command)], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.quick
def test_demo_ends_with_a_table_and_a_page(tmp_path):
    output = run('tools/demo.py', '--out', tmp_path, '--scale', 0.002)
    lines = output.splitlines()
    header = next(
        i for i, line in enumerate(lines) if re.search(r'^\s+FSeSim\s+no structure', line)
    )
    found = {line.split()[0] for line in lines[header + 1 : -2]}
    assert {'iterations', 'foreground_iou', 'miou', 'boundary_f1', 'psnr', 'ssim', 'style'} <= found
    page = Path(lines[-1].removeprefix('Pictures: '))
    text = page.read_text()
    pictures = [page.parent / source for source in re.findall(r'src="([^"]+)"', text)]
    assert len(pictures) == 4 * 64, 'input, two translations and truth of 64 scenes'
    assert all(Image.open(picture).size == (64, 64) for picture in pictures)
    result = json.loads((tmp_path / 'fsesim/result.json').read_text())
    assert 0 <= result['scores']['foreground_iou'] <= 1
    again = run('tools/demo.py', '--out', tmp_path, '--scale', 0.002)
    assert again.startswith('2 of 2 trainings are done already and not repeated')
    assert again.splitlines()[header + 1 :]


def test_losses_benchmark_compares_equal_values(tmp_path):
    output = run('tools/benchmark/losses.py', '--repeats', 1, '--out', tmp_path / 'losses.json')
    assert len(output.splitlines()) == 4
    rows = json.loads((tmp_path / 'losses.json').read_text())
    named = [(row['loss'], row['patch_size']) for row in rows]
    assert named == [('FSeSim', 32), ('FSeSim', 64), ('LSeSim', 32)]
    assert rows[0]['dense_mb'] < rows[0]['loop_mb'] / 4, 'windows are materialised'


def test_losses_benchmark_refuses_another_folder(tmp_path):
    command = [sys.executable, 'tools/benchmark/losses.py', '--reference', str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 2
    assert 'holds no models/sc_model.py' in ended.stderr


ARGUMENTS = (
    'tools/benchmark/structure.py', 'mismatch', 'matched', '--methods', 'fsesim', 'lsesim',
    '--iterations', 4, '--seeds', 1, '--lr-scale', 2,
)  # fmt: skip


@pytest.fixture(scope='module')
def comparison(tmp_path_factory):
    """Folder and output of a comparison of two methods on two datasets."""
    folder = tmp_path_factory.mktemp('structure')
    return folder, run(*ARGUMENTS, '--out', folder)


def test_structure_benchmark_at_both_budgets(comparison):
    folder, output = comparison
    table = (folder / 'mismatch_matched_table.md').read_text()
    assert table in output
    lines = [line.strip('| ').split(' | ') for line in table.splitlines()]
    assert lines[0][:5] == ['dataset', 'budget', 'method', 'iterations', 'steps/s']
    assert [line[:3] for line in lines[2:]] == [
        [dataset, budget, method]
        for budget in ('equal steps', 'equal time')
        for dataset in ('mismatch', 'matched')
        for method in ('FSeSim', 'LSeSim')
    ]
    results = json.loads((folder / 'mismatch_matched_results.json').read_text())
    found = {(r['dataset'], r['budget'], r['method']): r for r in results}
    for dataset in ('mismatch', 'matched'):
        seconds = [found[dataset, 'equal steps', m]['step_seconds'] for m in ('fsesim', 'lsesim')]
        fitting = max(2, round(4 * seconds[0] / seconds[1]))
        assert found[dataset, 'equal time', 'lsesim']['run']['iterations'] == fitting
        assert found[dataset, 'equal time', 'fsesim'] == {
            **found[dataset, 'equal steps', 'fsesim'],
            'budget': 'equal time',
        }
    settings = found['matched', 'equal steps', 'lsesim']['run']['settings']
    assert settings['optim_wrapper.structure_loss.optimizer.lr'] == pytest.approx(4e-4)
    assert settings['train_dataloader.dataset.data_root'] == str(folder / 'matched/dataset')
    grid = Image.open(folder / 'mismatch_matched_grid.png')
    assert grid.height > 1.7 * grid.width, '8 scenes: input, two translations, truth'


def test_structure_benchmark_runs_nothing_twice(comparison):
    folder, output = comparison
    written = {path: path.stat().st_mtime_ns for path in folder.rglob('iter_*.pth')}
    assert run(*ARGUMENTS, '--out', folder).endswith(output[output.index('| dataset') :])
    assert {path: path.stat().st_mtime_ns for path in folder.rglob('iter_*.pth')} == written
    shorter = run(*ARGUMENTS, '--out', folder, '--steps-only')
    assert shorter.count('| equal steps |') == 4 and 'equal time' not in shorter


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('mismatch', 'kaokore'), 'have different scores'),
        (('mismatch', '--methods', 'lsesim'), 'must hold fsesim'),
        (('mismatch', '--lr-scale', '0'), 'must be positive'),
    ],
)
def test_structure_benchmark_refuses(arguments, message):
    command = [sys.executable, 'tools/benchmark/structure.py', *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 2 and message in ended.stderr


def test_weights_are_compared_on_held_out_scenes(tmp_path):
    arguments = '--methods', 'pixel', '--weights', 0.5, 2, '--iterations', 2
    output = run('tools/benchmark/weights.py', *arguments, '--out', tmp_path)
    rows = [line.split(' | ') for line in output.splitlines() if line.startswith('| pixel')]
    assert [row[1] for row in rows] == ['0.5', '2']
    result = json.loads((tmp_path / 'weight2/pixel_seed2021_2iters/result.json').read_text())
    assert result['run']['settings']['model.structure_loss.loss_weight'] == 2
    results = json.loads((tmp_path / 'weight2/pixel_seed2021_2iters/results.json').read_text())
    assert results['tests'][0]['split'] == 'val (held-out)'


def test_a_result_of_other_settings_is_not_taken(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'tools/benchmark'))
    from runs import Run

    run = Run('FSeSim', 'config.py', str(tmp_path), 5, 1)
    assert run.result() is None
    other = dict(title='FSeSim', config='config.py', work_dir=str(tmp_path), iterations=6, seed=1)
    run.result_path.write_text(json.dumps(dict(run={**other, 'settings': {}})))
    with pytest.raises(ValueError, match='result of other settings .*remove'):
        run.result()


def test_maps_of_trained_heads(comparison, tmp_path):
    folder, _ = comparison
    config = 'configs/lsesim/lsesim_resnet-w24_1xb4_shapes64.py'
    checkpoint = folder / 'mismatch/lsesim_seed1_4iters/iter_4.pth'
    picture = folder / 'mismatch/dataset/testB/00000.png'
    figure = tmp_path / 'figure/maps.png'
    command = ['tools/analysis/learned_maps.py', config, checkpoint, picture, '--out', figure]
    output = run(*command, '--side', 64)
    for layer in ('relu1_2', 'relu2_2'):
        assert re.search(rf'^{layer}: VGG16 \d\.\d\d, untrained \d\.\d\d, trained', output, re.M)
    assert Image.open(figure).width > 500
    command[1] = 'configs/fsesim/fsesim_resnet-w24_1xb4_shapes64.py'
    with pytest.raises(subprocess.CalledProcessError) as error:
        run(*command)
    assert 'is FSeSimLoss, which does not learn' in error.value.stderr
