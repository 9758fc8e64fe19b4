"""Modes of the synthetic shapes: styles that differ, and datasets that hold several."""

import json
import runpy
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sesim_mmagic.datasets import write_shapes
from sesim_mmagic.datasets.shape_modes import MODES, mode_colours, render_mode
from sesim_mmagic.datasets.shape_scenes import LAYOUTS, draw_labels, sample_scene

LUMINANCE = np.array([0.299, 0.587, 0.114])
NUMBERS = range(len(MODES))
SMALL = dict(size=32, num_train=6, num_test=4, seed=4, num_val=2)
TOOL = Path(__file__).parents[2] / 'tools' / 'dataset_converters' / 'synthetic_shapes.py'


def scene(number=0, size=64):
    rng = np.random.default_rng([3, number])
    return draw_labels(sample_scene(LAYOUTS['matched']['B'], rng, size), size)


def is_bright(mode, size=64, label=0):
    """Where the texture of a mode is bright on a ground that fills the picture."""
    picture = render_mode(np.full((size, size), label), mode)
    return (picture == mode_colours(mode)[label, 1]).all(axis=-1)


@pytest.mark.parametrize('mode', NUMBERS)
def test_a_class_has_its_two_colours_and_no_other(mode):
    labels = scene()
    picture = render_mode(labels, mode)
    assert picture.dtype == np.uint8 and picture.shape == (64, 64, 3)
    for label in np.unique(labels):
        colours = np.unique(picture[labels == label], axis=0)
        assert set(map(tuple, colours)) == set(map(tuple, mode_colours(mode)[label]))


@pytest.mark.parametrize('mode', NUMBERS)
def test_colours_are_the_palette_with_a_contrast(mode):
    dark, bright = np.moveaxis(mode_colours(mode).astype(int), 1, 0)
    np.testing.assert_array_equal(bright - dark, MODES[mode].contrast)
    np.testing.assert_array_equal((dark + bright) / 2, MODES[mode].palette)


@pytest.mark.parametrize('mode', NUMBERS)
def test_luminance_is_inverted(mode):
    luminance = mode_colours(mode) @ LUMINANCE
    assert luminance[0].max() + 10 < luminance[1:].min()


def test_palettes_are_distinct():
    """Of two modes (areas of a scene as weights), and of the classes of one mode."""
    palettes = np.array([mode.palette for mode in MODES]) / 255
    between = np.linalg.norm(palettes[:, None] - palettes, axis=-1)[~np.eye(len(MODES), dtype=bool)]
    assert between[:, 0].min() > 0.2  # grounds
    assert np.sqrt((between**2).mean(axis=1)).min() > 0.27
    for mode in NUMBERS:
        colours = mode_colours(mode) / 255.0
        for label in range(1, 4):
            apart = np.linalg.norm(colours[label, :, None, None] - colours[:label], axis=-1)
            assert apart.min() > 0.25


def test_textures_of_known_periods():
    plain, rows, dots, checks, grid, columns = (is_bright(mode) for mode in NUMBERS)
    i = np.arange(64)
    assert plain.all()  # dark and bright are one colour
    line = (i % 8 < 2) | (i % 8 >= 6)  # the middle, pixel 32, is bright
    np.testing.assert_array_equal(rows, np.broadcast_to(line[:, None], rows.shape))
    np.testing.assert_array_equal(columns, rows.T)
    np.testing.assert_array_equal(checks, line[:, None] ^ line)
    thin = np.isin(i % 8, (0, 7))
    np.testing.assert_array_equal(grid, thin[:, None] | thin)
    offset = np.minimum(i % 8 + 0.5, 8 - (i % 8 + 0.5))
    np.testing.assert_array_equal(dots, offset[:, None] ** 2 + offset**2 <= 2.6**2)
    assert len({texture.tobytes() for texture in (rows, dots, checks, grid, columns)}) == 5


@pytest.mark.parametrize('mode', NUMBERS)
@pytest.mark.parametrize('shape', [(64, 64), (40, 64), (63, 50)])
def test_mirrored_pictures_are_of_the_same_mode(mode, shape):
    labels = np.random.default_rng(0).integers(0, 4, shape)
    picture = render_mode(labels, mode)
    np.testing.assert_array_equal(picture[:, ::-1], render_mode(labels[:, ::-1], mode))
    np.testing.assert_array_equal(picture[::-1], render_mode(labels[::-1], mode))


@pytest.mark.parametrize('mode', NUMBERS)
def test_textures_scale_with_the_picture(mode):
    if MODES[mode].name == 'wine':
        assert is_bright(mode, 512).mean() == pytest.approx(np.pi * 2.6**2 / 8**2, abs=0.005)
        return  # round dots of few pixels are not round
    expected = is_bright(mode).repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(is_bright(mode, 128), expected)


@pytest.mark.parametrize('mode', [-1, len(MODES)])
def test_no_such_mode(mode):
    with pytest.raises(ValueError, match=f'mode must be a number from 0 to 5, got {mode}'):
        render_mode(scene(), mode)


def pictures(out, folder):
    return {path.name: np.asarray(Image.open(path)) for path in sorted((out / folder).iterdir())}


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob('*') if p.is_file()}


@pytest.fixture(scope='module')
def datasets(tmp_path_factory):
    """Datasets of one mode and of three."""
    folder = tmp_path_factory.mktemp('datasets')
    return [write_shapes(folder / str(n), 'matched', modes=n, **SMALL) for n in (1, 3)]


def test_pictures_are_in_the_modes_that_are_written_down(datasets):
    out = datasets[1]
    modes = json.loads((out / 'modes.json').read_text())
    names = {
        f'{part}B/{name}' for part in ('train', 'val', 'test') for name in pictures(out, part + 'B')
    }
    assert set(modes) == names and len(names) == 12
    for name, mode in modes.items():
        folder, file = name.split('/')
        if folder != 'trainB':
            labels = pictures(out, folder[:-1] + 'Labels')[file]
            np.testing.assert_array_equal(pictures(out, folder)[file], render_mode(labels, mode))
        colours = {tuple(c) for c in pictures(out, folder)[file].reshape(-1, 3)}
        assert colours <= {tuple(c) for c in mode_colours(mode).reshape(-1, 3)}


def test_only_the_look_of_b_changes(datasets):
    one, three = (contents(out) for out in datasets)
    changed = {path for path in one if one[path] != three[path]}
    assert {path.parent.name for path in changed} == {'trainB', 'valB', 'testB', ''}
    assert set(three) - set(one) == {Path('modes.json')}
    manifest = json.loads(one[Path('dataset.json')])
    assert 'modes' not in manifest
    assert json.loads(three[Path('dataset.json')]) == manifest | dict(modes=3)
    # Scenes of trainB, which have no label maps: the class is that of the textured pictures.
    for file, picture in pictures(datasets[1], 'trainB').items():
        mode = json.loads(three[Path('modes.json')])[f'trainB/{file}']
        ground = (mode_colours(mode)[0] == picture[..., None, :]).all(axis=-1).any(axis=-1)
        textured = pictures(datasets[0], 'trainB')[file]
        np.testing.assert_array_equal(ground, textured.max(axis=-1) < 100)


def test_a_larger_dataset_has_the_same_modes(datasets, tmp_path):
    larger = SMALL | dict(num_train=8, num_test=5, num_val=3)
    out = write_shapes(tmp_path / 'larger', 'matched', modes=3, **larger)
    small, large = contents(datasets[1]), contents(out)
    assert all(large[path] == small[path] for path in small if path.suffix == '.png')
    modes = [json.loads(c[Path('modes.json')]) for c in (small, large)]
    assert modes[0].items() < modes[1].items()


def test_modes_are_equally_frequent_and_independent_of_the_folder(tmp_path):
    counts = dict(size=16, num_train=120, num_test=120, num_val=0, seed=0)
    out = write_shapes(tmp_path / 'dataset', modes=4, **counts)
    modes = json.loads((out / 'modes.json').read_text())
    drawn = {
        folder: [modes[f'{folder}/{i:05d}.png'] for i in range(120)]
        for folder in ('trainB', 'testB')
    }
    for values in drawn.values():
        frequencies = Counter(values)
        assert set(frequencies) == set(range(4))
        # Four standard deviations of a binomial of 120 and 1/4.
        assert all(abs(count - 30) < 19 for count in frequencies.values())
    assert np.mean(np.equal(*drawn.values())) == pytest.approx(0.25, abs=0.16)


def test_an_equal_dataset_is_left_alone(datasets):
    before = contents(datasets[1])
    assert write_shapes(datasets[1], 'matched', modes=3, **SMALL) == datasets[1]
    assert contents(datasets[1]) == before


def test_a_dataset_of_other_modes_is_not_taken_for_this_one(datasets, tmp_path):
    for out, modes in zip(datasets, (2, 4), strict=True):
        with pytest.raises(
            FileExistsError, match=rf"other parameters: .*asked for .*'modes': {modes}"
        ):
            write_shapes(out, 'matched', modes=modes, **SMALL)
    with pytest.raises(FileExistsError, match="other parameters: .*'modes': 3"):
        write_shapes(datasets[1], 'matched', **SMALL)
    out = write_shapes(tmp_path / 'dataset', modes=2, **SMALL)
    (out / 'modes.json').unlink()
    with pytest.raises(FileExistsError, match=r'has lost its modes\.json.*delete this one'):
        write_shapes(out, modes=2, **SMALL)


@pytest.mark.parametrize('modes', [0, len(MODES) + 1, 1.5])
def test_a_number_of_modes_that_there_is_not(tmp_path, modes):
    with pytest.raises(ValueError, match=rf'modes must be an integer from 1 to 6.*got {modes}'):
        write_shapes(tmp_path / 'dataset', modes=modes, **SMALL)
    assert not (tmp_path / 'dataset').exists()


def test_tool(tmp_path, monkeypatch, capsys):
    sizes = '--size 16 --train 2 --val 1 --test 1'.split()
    for modes, ending in (('3', 'of 16 x 16 pixels, 3 modes of B.'), ('1', 'of 16 x 16 pixels.')):
        arguments = ['--out', str(tmp_path / modes), *sizes, '--modes', modes]
        monkeypatch.setattr(sys, 'argv', [TOOL.name, *arguments])
        runpy.run_path(str(TOOL), run_name='__main__')
        assert capsys.readouterr().out.strip().endswith(ending)
        assert (tmp_path / modes / 'modes.json').exists() == (modes == '3')
    monkeypatch.setattr(sys, 'argv', [TOOL.name, '--out', str(tmp_path / 'x'), '--modes', '9'])
    with pytest.raises(SystemExit):
        runpy.run_path(str(TOOL), run_name='__main__')
    assert 'error: modes must be an integer from 1 to 6' in capsys.readouterr().err
