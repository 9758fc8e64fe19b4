"""Pictures in rows and columns, by a command."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

TOOL = Path(__file__).parents[2] / 'tools/analysis/picture_rows.py'


def run(*argv):
    argv = [sys.executable, TOOL, *argv]
    return subprocess.run(list(map(str, argv)), capture_output=True, text=True, check=False)


def test_pictures_stand_in_rows(tmp_path):
    paths = []
    for i, value in enumerate((40, 90, 140, 240)):
        paths.append(tmp_path / f'{i}.png')
        cv2.imwrite(str(paths[-1]), np.full((128, 160, 3), value, np.uint8))
    rows = '--row', 'first', *paths[:2], '--row', 'second', *paths[2:]
    result = run('--columns', 'left', 'right', *rows, '--out', tmp_path / 'figure.png')
    assert result.returncode == 0, result.stderr
    figure = cv2.imread(str(tmp_path / 'figure.png'))[..., 0]
    assert figure.shape[1] > 320 and figure.shape[0] > 256
    places = [np.argwhere(figure == value).mean(axis=0) for value in (40, 90, 140, 240)]
    assert places[0][1] < places[1][1] and places[0][0] < places[2][0]
    assert all((figure == value).sum() >= 128 * 160 for value in (40, 90, 140, 240))

    result = run('--columns', 'left', *rows, '--out', tmp_path / 'other.png')
    assert result.returncode == 2 and 'A figure of 1 columns' in result.stderr
    assert not (tmp_path / 'other.png').exists()
