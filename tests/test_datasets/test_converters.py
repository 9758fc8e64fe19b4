"""The dataset converters as a user runs them."""

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TOOLS = Path(__file__).parents[2] / 'tools' / 'dataset_converters'


@pytest.fixture
def run(monkeypatch):
    """Run a tool with arguments, in this process."""

    def run_tool(name, *arguments):
        monkeypatch.setattr(sys, 'argv', [name, *map(str, arguments)])
        runpy.run_path(str(TOOLS / f'{name}.py'), run_name='__main__')

    return run_tool


@pytest.fixture
def kaokore():
    return runpy.run_path(str(TOOLS / 'kaokore_sketch.py'))


@pytest.fixture
def paintings(tmp_path):
    """Eleven pictures, wider than high, with a dark disk on a bright ground."""
    folder = tmp_path / 'images'
    folder.mkdir()
    rows, columns = np.mgrid[:64, :80]
    for i in range(11):
        pixels = np.full((64, 80, 3), (200, 180, 150), np.uint8)
        pixels[(rows - 32) ** 2 + (columns - 40) ** 2 < (10 + i) ** 2] = (60, 20, 40)
        Image.fromarray(pixels).save(folder / f'{i:03d}.png')
    return folder


@pytest.fixture
def refused(run, capsys):
    """The line with which a tool refuses its arguments."""

    def run_tool(name, *arguments):
        with pytest.raises(SystemExit) as error:
            run(name, *arguments)
        assert error.value.code == 2
        return capsys.readouterr().err.splitlines()[-1]

    return run_tool


def stems(folder):
    return {path.stem for path in folder.iterdir()}


def test_kaokore(run, paintings, tmp_path, capsys):
    out = tmp_path / 'out'
    run('kaokore_sketch', paintings, '--out', out, '--test', 3, '--size', 32)
    assert (
        '4 sketches and 4 paintings to train on, 3 test pairs, 32 x 32' in capsys.readouterr().out
    )
    parts = {name: stems(out / name) for name in ('trainA', 'trainB', 'testA', 'testB')}
    assert [len(parts[name]) for name in parts] == [4, 4, 3, 3]
    assert parts['testA'] == parts['testB']
    assert len(parts['trainA'] | parts['trainB'] | parts['testA']) == 11  # none shared
    for path in out.rglob('*.png'):
        image = Image.open(path)
        assert image.size == (32, 32)
        assert image.mode == ('L' if path.parent.name.endswith('A') else 'RGB')


def test_kaokore_limit_and_seed(kaokore):
    names = [str(i) for i in range(40)]
    parts = kaokore['split'](names, 5, 7, seed=0)
    assert {name: len(part) for name, part in parts.items()} == dict(test=5, trainA=7, trainB=7)
    assert parts == kaokore['split'](names[::-1], 5, 7, seed=0)
    assert parts != kaokore['split'](names, 5, 7, seed=1)


def test_sketches_are_dark_lines_on_white(kaokore):
    rows, columns = np.mgrid[:64, :64]
    distance = np.hypot(rows - 32, columns - 32)
    painting = np.full((64, 64, 3), 230, np.uint8)
    painting[distance < 20] = 90
    sketch = kaokore['ink_sketch'](painting)
    assert sketch.shape == (64, 64) and sketch.dtype == np.uint8
    assert sketch[distance > 24].min() == 255
    assert sketch[(distance > 18.2) & (distance < 19.5)].max() < 60
    # An even picture is paper, a black one keeps a grey wash.
    assert (kaokore['ink_sketch'](np.full((32, 32, 3), 230, np.uint8)) == 255).all()
    assert kaokore['ink_sketch'](np.zeros((32, 32, 3), np.uint8)).max() < 160


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['{tmp}/none'], 'is not a folder'),
        (['{tmp}/images', '--test', '10'], '11 pictures cannot be dealt to 10 test pairs'),
        (['{tmp}/images', '--limit', '0'], 'cannot be dealt'),
        (['{tmp}/images', '--test', '3', '--size', '4'], 'at least 16'),
        (['{tmp}/images', '--test', '3', '--out', '{tmp}/images'], 'exists; choose another'),
    ],
)
def test_kaokore_errors(refused, paintings, tmp_path, arguments, message):
    arguments = [argument.format(tmp=tmp_path) for argument in arguments]
    out = [] if '--out' in arguments else ['--out', tmp_path / 'out']
    assert message in refused('kaokore_sketch', *arguments, *out)
    assert not (tmp_path / 'out').exists()


def test_kaokore_with_a_broken_picture_leaves_nothing(refused, paintings, tmp_path):
    (paintings / '004.png').write_bytes((paintings / '004.png').read_bytes()[:60])
    message = refused('kaokore_sketch', paintings, '--out', tmp_path / 'out', '--test', 3)
    assert re.search(r'004\.png', message)
    assert stems(tmp_path) == {'images'}


def test_synthetic_shapes(run, refused, tmp_path, capsys):
    arguments = ['--out', tmp_path / 'w', '--size', 16, '--train', 2, '--val', 3, '--test', 1]
    for _ in range(2):  # an equal dataset is left as it is
        run('synthetic_shapes', *arguments, '--layout', 'matched')
        printed = capsys.readouterr().out
        assert '2 + 2 training pictures, 3 validation and 1 test pairs of 16 x 16' in printed
    assert stems(tmp_path / 'w' / 'trainB') == {'00000', '00001'}
    assert stems(tmp_path / 'w' / 'valB') == {'00000', '00001', '00002'}
    assert 'other parameters' in refused('synthetic_shapes', *arguments, '--layout', 'mismatch')
