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


def structure(tmp_path, *arguments):
    return run('tools/benchmark/structure.py', 'mismatch', '--out', tmp_path, *arguments)


def test_structure_benchmark_at_both_budgets_and_again(tmp_path):
    arguments = '--iterations', 3, '--seeds', 1
    output = structure(tmp_path, *arguments)
    table = [line.split(' | ') for line in output.splitlines() if line.startswith('| ')]
    assert table[0][:3] == ['| budget', 'method', 'iterations']
    assert [row[:2] for row in table[2:]] == [
        ['| equal steps', 'FSeSim'],
        ['| equal steps', 'LSeSim'],
        ['| equal time', 'LSeSim'],
    ]
    results = json.loads((tmp_path / 'results.json').read_text())
    fsesim, lsesim, timed = results
    assert fsesim['run']['iterations'] == lsesim['run']['iterations'] == 3
    fitting = 3 * fsesim['step_seconds'] / lsesim['step_seconds']
    assert timed['run']['iterations'] == max(2, round(fitting))
    # 8 scenes: input, three translations, truth
    assert Image.open(tmp_path / 'grid.png').size == (5 * 64, 8 * 64)

    written = (tmp_path / 'fsesim_seed1_3iters/iter_3.pth').stat().st_mtime_ns
    assert structure(tmp_path, *arguments).splitlines()[-2:] == output.splitlines()[-2:]
    assert (tmp_path / 'fsesim_seed1_3iters/iter_3.pth').stat().st_mtime_ns == written


def test_a_result_of_other_settings_is_not_taken(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'tools/benchmark'))
    from runs import Run

    run = Run('FSeSim', 'config.py', str(tmp_path), 5, 1)
    assert run.result() is None
    other = dict(title='FSeSim', config='config.py', work_dir=str(tmp_path), iterations=6, seed=1)
    run.result_path.write_text(json.dumps(dict(run={**other, 'settings': {}})))
    with pytest.raises(ValueError, match='result of other settings .*remove'):
        run.result()


def test_maps_of_trained_heads(tmp_path):
    structure(tmp_path, '--methods', 'lsesim', '--iterations', 2, '--seeds', 1)
    config = 'configs/lsesim/lsesim_resnet-w24_1xb4_procedural64.py'
    checkpoint = tmp_path / 'lsesim_seed1_2iters/iter_2.pth'
    picture = tmp_path / 'world/testB/00000.png'
    figure = tmp_path / 'figure/maps.png'
    command = ['tools/analysis/learned_maps.py', config, checkpoint, picture, '--out', figure]
    output = run(*command, '--side', 64)
    for layer in ('relu1_2', 'relu2_2'):
        assert re.search(rf'^{layer}: VGG16 \d\.\d\d, untrained \d\.\d\d, trained', output, re.M)
    assert Image.open(figure).width > 500
    command[1] = 'configs/fsesim/fsesim_resnet-w24_1xb4_procedural64.py'
    with pytest.raises(subprocess.CalledProcessError) as error:
        run(*command)
    assert 'is FSeSimLoss, which does not learn' in error.value.stderr
