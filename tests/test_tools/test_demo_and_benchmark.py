"""The demo and the benchmark run as the README says, only shorter."""

import json
import re
import subprocess
import sys
from pathlib import Path

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
    assert len(output.splitlines()) == 3
    rows = json.loads((tmp_path / 'losses.json').read_text())
    assert [row['patch_size'] for row in rows] == [32, 64]
    assert rows[0]['dense_mb'] < rows[0]['loop_mb'] / 4, 'windows are materialised'
