"""The synthetic shapes: what is drawn, what is written, and that it is always the same."""

import hashlib
import json
import os

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from sesim_mmagic.datasets import synthetic_shapes, write_shapes
from sesim_mmagic.datasets.shape_scenes import (
    LAYOUTS,
    PALETTE,
    TEXTURE_COLOURS,
    SceneLayout,
    Shape,
    draw_labels,
    render_scene,
    sample_scene,
)
from sesim_mmagic.evaluation.scores import foreground_iou, segment_by_palette
from sesim_mmagic.utils.files import new_folder

LUMINANCE = np.array([0.299, 0.587, 0.114])


def scenes(layout, domain, count=40, size=64):
    """Shapes, label map and generator of some scenes."""
    for i in range(count):
        rng = np.random.default_rng([1, i])
        shapes = sample_scene(LAYOUTS[layout][domain], rng, size)
        yield shapes, draw_labels(shapes, size), rng


@pytest.mark.parametrize(
    ('layout', 'domain', 'counts'),
    [
        ('mismatch', 'A', {5, 6, 7}),
        ('mismatch', 'B', {2, 3}),
        ('matched', 'A', {3, 4, 5}),
        ('matched', 'B', {3, 4, 5}),
    ],
)
def test_number_of_shapes(layout, domain, counts):
    drawn = list(scenes(layout, domain))
    assert {len(shapes) for shapes, _, _ in drawn} == counts
    assert {shape.label for shapes, _, _ in drawn for shape in shapes} == {1, 2, 3}


def test_sizes_mismatch():
    areas = {d: [np.mean(x > 0) / len(s) for s, x, _ in scenes('mismatch', d)] for d in 'AB'}
    assert np.mean(areas['B']) > 1.5 * np.mean(areas['A'])


@pytest.mark.parametrize('layout', LAYOUTS)
def test_shapes_are_inside_and_hardly_overlap(layout):
    for domain in 'AB':
        visible = []
        for shapes, labels, _ in scenes(layout, domain, 100):
            for shape in shapes:
                for centre in (shape.row, shape.column):
                    assert shape.radius <= centre <= 64 - shape.radius
            alone = sum((draw_labels([shape]) > 0).sum() for shape in shapes)
            visible.append((labels > 0).sum() / alone)
        assert np.mean(visible) > 0.99
        assert min(visible) > 0.75


def test_classes_of_one_radius_have_like_areas():
    layout = SceneLayout((1, 1), (0.15, 0.15))
    areas = {1: [], 2: [], 3: []}
    for i in range(60):
        (shape,) = sample_scene(layout, np.random.default_rng(i))
        areas[shape.label].append((draw_labels([shape]) > 0).mean())
    disk = np.pi * 0.15**2
    assert all(0.9 * disk < np.mean(values) < 1.1 * disk for values in areas.values())


def test_drawn_areas_are_those_of_geometry():
    size, radius = 200, 60
    areas = {1: np.pi * radius**2, 2: 2 * radius**2, 3: 0.75 * 3**0.5 * radius**2}
    for label, area in areas.items():
        for angle in (0, 0.4, 2):
            drawn = (draw_labels([Shape(label, 100, 100, radius, angle)], size) == label).sum()
            assert drawn == pytest.approx(area, rel=0.03)


def test_a_later_shape_covers_an_earlier_one():
    labels = draw_labels([Shape(1, 32, 32, 20, 0), Shape(2, 32, 32, 8, 0)])
    assert labels[32, 32] == 2 and labels[32, 15] == 1 and labels[0, 0] == 0


def test_style_a_is_the_palette():
    for _, labels, rng in scenes('matched', 'A', 10):
        picture = render_scene(labels, 'A', rng)
        assert picture.dtype == np.uint8
        np.testing.assert_array_equal(picture, PALETTE[labels])
        np.testing.assert_array_equal(segment_by_palette(picture, PALETTE), labels)


def test_style_b_has_a_texture_for_every_class():
    for _, labels, rng in scenes('matched', 'B', 10):
        picture = render_scene(labels, 'B', rng)
        for label in np.unique(labels):
            colours = np.unique(picture[labels == label], axis=0)
            assert sorted(map(tuple, colours)) == sorted(map(tuple, TEXTURE_COLOURS[label]))


def test_luminance_is_inverted():
    for _, labels, rng in scenes('matched', 'B', 20):
        flat, textured = (render_scene(labels, s, rng) @ LUMINANCE for s in 'AB')
        ground = labels == 0
        assert flat[ground].min() > flat[~ground].max()
        assert textured[ground].max() < textured[~ground].min()


def test_textures_are_far_from_the_palette():
    distances = np.linalg.norm(
        TEXTURE_COLOURS.reshape(-1, 1, 3).astype(float) - PALETTE.astype(float), axis=-1
    )
    assert distances.min() / 255 > 0.2  # style counts what is within 0.15


class OneIsFixed:
    """A generator of textures whose angle, or whose shift, is always zero."""

    def __init__(self, seed, fixed):
        self.rng, self.fixed = np.random.default_rng(seed), fixed

    def uniform(self, low, high, size=None):
        drawn = self.rng.uniform(low, high, size)
        return 0 * drawn if self.fixed == ('angle' if size is None else 'shift') else drawn


@pytest.mark.parametrize('fixed', [None, 'angle', 'shift'])
@pytest.mark.parametrize('label', range(4))
def test_phase_and_orientation_are_drawn(label, fixed):
    labels = np.full((64, 64), label, np.uint8)
    a, b, again = (render_scene(labels, 'B', OneIsFixed(seed, fixed)) for seed in (0, 1, 0))
    assert (a != b).any()
    np.testing.assert_array_equal(a, again)


def test_not_square_pictures():
    assert render_scene(np.zeros((20, 30), np.uint8), 'B', np.random.default_rng(0)).shape == (
        20,
        30,
        3,
    )


def test_bad_style():
    labels = np.zeros((8, 8), np.uint8)
    with pytest.raises(ValueError, match="style must be .*'C'"):
        render_scene(labels, 'C')
    with pytest.raises(ValueError, match='pass rng'):
        render_scene(labels, 'B')


SMALL = dict(size=32, num_train=3, num_test=2, seed=4, num_val=1)


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file()
    }


def picture(path):
    return np.asarray(Image.open(path).convert('RGB'))


def test_dataset_on_disk(tmp_path):
    out = write_shapes(tmp_path / 'new' / 'dataset', 'mismatch', **SMALL)
    assert sorted(path.name for path in (tmp_path / 'new').iterdir()) == ['dataset']
    expected = {f'train{s}/{i:05d}.png' for s in 'AB' for i in range(3)} | {'dataset.json'}
    expected |= {f'test{s}/{i:05d}.png' for s in ('A', 'B', 'Labels') for i in range(2)}
    expected |= {f'val{s}/00000.png' for s in ('A', 'B', 'Labels')}
    assert set(contents(out)) == expected
    assert json.loads((out / 'dataset.json').read_text()) == dict(
        SMALL, layout='mismatch', version=1
    )
    for part, i in (('test', 0), ('test', 1), ('val', 0)):
        flat, textured = (picture(out / f'{part}{s}' / f'{i:05d}.png') for s in 'AB')
        labels = np.asarray(Image.open(out / f'{part}Labels' / f'{i:05d}.png'))
        assert flat.shape == textured.shape == (32, 32, 3)
        np.testing.assert_array_equal(PALETTE[labels], flat)
        # The same scene in both styles: what is bright in B is no ground in A.
        ground = (TEXTURE_COLOURS[0] == textured[..., None, :]).all(axis=-1).any(axis=-1)
        np.testing.assert_array_equal(ground, labels == 0)


def test_pictures_do_not_change_between_versions(tmp_path):
    """Scores in the documentation are of these pictures: raise the version with the digest."""
    out = write_shapes(tmp_path / 'dataset', **SMALL)
    digest = hashlib.sha256()
    for path in sorted(out.rglob('*.png')):
        digest.update(str(path.relative_to(out)).encode())
        digest.update(np.asarray(Image.open(path)).tobytes())
    assert digest.hexdigest() == (
        'a25b6e20b911c3ed2ad06bcb44313d1c4a3652d3ef3bb1977ea548c91592a13c'
    )


def test_training_scenes_of_the_domains_differ(tmp_path):
    out = write_shapes(tmp_path / 'dataset', 'matched', **{**SMALL, 'num_train': 12})

    def masks(folder, ground):
        return [
            ~(ground == picture(path)[..., None, :]).all(axis=-1).any(axis=-1)
            for path in sorted((out / folder).iterdir())
        ]

    flat, textured = masks('trainA', PALETTE[:1]), masks('trainB', TEXTURE_COLOURS[0])
    for a in flat:
        for b in [*textured, *masks('testA', PALETTE[:1]), *masks('valA', PALETTE[:1])]:
            assert (a & b).sum() / (a | b).sum() < 0.9


def test_same_seed_same_dataset(tmp_path):
    a, b = (write_shapes(tmp_path / name, 'mismatch', **SMALL) for name in 'ab')
    assert contents(a) == contents(b)
    c = write_shapes(tmp_path / 'c', 'mismatch', **{**SMALL, 'seed': 5})
    assert contents(a)['trainA/00000.png'] != contents(c)['trainA/00000.png']


def test_a_larger_dataset_contains_the_smaller(tmp_path):
    a = contents(write_shapes(tmp_path / 'a', **SMALL))
    b = contents(
        write_shapes(tmp_path / 'b', **{**SMALL, 'num_train': 5, 'num_test': 4, 'num_val': 3})
    )
    assert all(b[name] == a[name] for name in a if name != 'dataset.json')


def test_validation_scenes_are_scenes_of_their_own(tmp_path):
    equal = dict(SMALL, size=64, num_train=8, num_test=8, num_val=8)
    files = contents(write_shapes(tmp_path / 'dataset', **equal))
    labels = [
        {data for name, data in files.items() if name.startswith(f'{part}Labels/')}
        for part in ('val', 'test')
    ]
    assert len(labels[0]) == len(labels[1]) == 8 and not labels[0] & labels[1]
    # Layout of the source, B: few large shapes, where A has many small ones.
    shapes = {
        folder: np.mean(
            [
                ndimage.label((picture(path) != PALETTE[0]).any(axis=-1))[1]
                for path in sorted((tmp_path / 'dataset' / folder).iterdir())
            ]
        )
        for folder in ('trainA', 'testA', 'valA')
    }
    assert max(shapes['testA'], shapes['valA']) < 0.6 * shapes['trainA'], shapes


def test_pictures_are_those_of_datasets_without_validation(tmp_path):
    old = write_shapes(tmp_path / 'old', **{**SMALL, 'num_val': 0})
    assert not list(old.glob('val*'))
    before = contents(old)
    after = contents(write_shapes(tmp_path / 'new', **SMALL))
    assert all(after[name] == before[name] for name in before if name != 'dataset.json')
    with pytest.raises(FileExistsError, match="other parameters: .*'num_val': 0"):
        write_shapes(old, **SMALL)


def test_an_equal_dataset_is_left_alone(tmp_path):
    out = write_shapes(tmp_path / 'dataset', **SMALL)
    before = {path: os.stat(path).st_mtime_ns for path in out.rglob('*')}
    assert write_shapes(str(out), **SMALL) == out
    assert {path: os.stat(path).st_mtime_ns for path in out.rglob('*')} == before


def test_nothing_else_is_overwritten(tmp_path):
    out = write_shapes(tmp_path / 'dataset', **SMALL)
    with pytest.raises(FileExistsError, match=r"other parameters: .*'seed': 4.*delete this one"):
        write_shapes(out, **{**SMALL, 'seed': 3})
    (out / 'testB' / '00001.png').unlink()
    with pytest.raises(FileExistsError, match='testB.*holds 1 pictures where 2'):
        write_shapes(out, **SMALL)
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'notes.txt').write_text('dear')
    with pytest.raises(FileExistsError, match='holds no synthetic shapes'):
        write_shapes(tmp_path / 'mine', **SMALL)
    assert (tmp_path / 'mine' / 'notes.txt').read_text() == 'dear'


def test_an_empty_folder_may_be_there(tmp_path):
    (tmp_path / 'dataset').mkdir()
    write_shapes(tmp_path / 'dataset', **SMALL)
    assert (tmp_path / 'dataset' / 'dataset.json').exists()


def test_an_interrupted_dataset_leaves_nothing(tmp_path, monkeypatch):
    saved = []

    def interrupted(*args):
        saved.append(args)
        if len(saved) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(synthetic_shapes, '_save', interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_shapes(tmp_path / 'dataset', **SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('layout', 'round'),
        ('size', 8),
        ('num_train', 0),
        ('num_test', 0),
        ('num_val', -1),
        ('seed', -1),
        ('size', 20.5),
    ],
)
def test_bad_parameters(tmp_path, name, value):
    with pytest.raises(ValueError, match=rf'{name} must be .*{value}'):
        write_shapes(tmp_path / 'dataset', **{**SMALL, name: value})
    assert not (tmp_path / 'dataset').exists()


def test_new_folders_are_readable_by_others(tmp_path):
    mask = os.umask(0o022)
    try:
        with new_folder(tmp_path / 'x'):
            pass
    finally:
        os.umask(mask)
    assert (tmp_path / 'x').stat().st_mode & 0o777 == 0o755


def test_foreground_of_a_scene_scores_one():
    for _, labels, _ in scenes('mismatch', 'B', 5):
        segmented = segment_by_palette(render_scene(labels, 'A'), PALETTE)
        confusion = np.zeros((4, 4), int)
        np.add.at(confusion, (labels, segmented), 1)
        assert foreground_iou(confusion) == 1
