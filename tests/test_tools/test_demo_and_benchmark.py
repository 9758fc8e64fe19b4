"""The demo and the benchmarks run as the README says, only shorter."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

ROOT = Path(__file__).resolve().parents[2]


def run(*command):
    return subprocess.run(
        [sys.executable, *map(str, command)], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout


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
