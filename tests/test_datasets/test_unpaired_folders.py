"""Unpaired folders: clear errors when built, and samples that depend on their index alone."""

import random
import shutil

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from PIL import Image
from torch.utils.data import DataLoader

from sesim_mmagic.datasets import ResumableSampler, UnpairedFolderDataset
from sesim_mmagic.registry import DATASETS
from sesim_mmagic.utils.random import seeded_generators

CROP = 8
NUM_A, NUM_B, SIDE = 5, 3, 24


@pytest.fixture
def positions(tmp_path):
    """Pictures whose pixels tell where they come from: (column, row, number), RGB."""
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.uint8)
    for folder, count in (('trainA', NUM_A), ('trainB', NUM_B)):
        (tmp_path / folder).mkdir()
        for i in range(count):
            picture = np.dstack([columns, rows, np.full_like(rows, i)])
            Image.fromarray(picture).save(tmp_path / folder / f'{i}.png')
    return tmp_path


def pipeline(crop=CROP):
    """The pipeline of the configs: each transform drawn for A, then for B."""
    steps = []
    for key in ('img_A', 'img_B'):
        steps += [
            dict(type='sesim_mmagic.LoadPicture', key=key),
            dict(type='sesim_mmagic.CheckSize', keys=[key], min_size=(crop, crop)),
            dict(type='Crop', keys=[key], crop_size=(crop, crop), random_crop=True),
            dict(type='Flip', keys=[key], flip_ratio=0.5, direction='horizontal'),
        ]
    return [*steps, dict(type='sesim_mmagic.PackDomains', A='sketch', B='photo')]


def build(data_root, steps=None, kind='sesim_mmagic.UnpairedFolderDataset', **kwargs):
    with DefaultScope.overwrite_default_scope('mmagic'):
        return DATASETS.build(
            dict(
                type=kind,
                data_root=str(data_root),
                pipeline=pipeline() if steps is None else steps,
                **kwargs,
            )
        )


def whereabouts(sample, domain):
    """(row, column, flipped, number) of a crop, read from its pixels."""
    number, row, column = (int(sample['inputs'][f'img_{domain}'][c, 0, 0]) for c in range(3))
    last = int(sample['inputs'][f'img_{domain}'][2, 0, -1])
    return row, min(column, last), last < column, number


def draws(dataset, indices):
    return np.array([[whereabouts(dataset[i], d) for d in ('sketch', 'photo')] for i in indices])


def test_crops_and_flips_of_the_domains_are_independent(positions):
    dataset = build(positions)
    dataset.sample_seed = 7
    seen = draws(dataset, range(0, 600 * NUM_A, NUM_A)).astype(float)  # (600, domain, 4)
    for what in range(3):  # row, column, flip
        assert abs(np.corrcoef(seen[:, 0, what], seen[:, 1, what])[0, 1]) < 0.15
    # All 17 offsets, both directions and all partners occur, evenly.
    for domain in range(2):
        for what in range(2):
            counts = np.bincount(seen[:, domain, what].astype(int), minlength=SIDE - CROP + 1)
            assert len(counts) == SIDE - CROP + 1
            assert counts.min() > 12 and counts.max() < 70  # 600 / 17 = 35
        assert 240 < seen[:, domain, 2].sum() < 360
    assert (seen[:, 0, 3] == 0).all()
    assert np.bincount(seen[:, 1, 3].astype(int)).min() > 150


def test_a_sample_depends_on_seed_and_index_alone(positions):
    dataset = build(positions)
    dataset.sample_seed = 7
    indices = [3, 0, 11, 3 + NUM_A, 10**9]
    expected = draws(dataset, indices)
    np.random.seed(99)
    random.seed(99)
    torch.manual_seed(99)
    again = build(positions)
    again.sample_seed = 7
    np.testing.assert_array_equal(draws(again, indices[::-1])[::-1], expected)
    # The same picture in another pass, and under another seed, is cropped otherwise.
    assert expected[0, 0, 3] == expected[3, 0, 3]
    assert (expected[0] != expected[3]).any()
    again.sample_seed = 8
    assert (draws(again, indices) != expected).any()


def test_negative_index_is_the_last_sample(positions):
    dataset = build(positions)
    dataset.sample_seed = 7
    np.testing.assert_array_equal(draws(dataset, [-1]), draws(dataset, [NUM_A - 1]))


def states():
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()


def test_outer_generators_are_left_alone(positions):
    dataset = build(positions)
    dataset.sample_seed = 7
    before = states()
    dataset[4]
    assert states() == before
    for path in (positions / 'trainA').iterdir():
        path.write_text('broken')
    with pytest.raises(RuntimeError, match='5 pictures in a row cannot be read'):
        dataset[4]
    assert states() == before


def test_seeded_generators_seed_every_library():
    def numbers(*entropy):
        with seeded_generators(*entropy):
            return random.random(), np.random.rand(), torch.rand(()).item()

    first = numbers(3, 5)
    assert first == numbers(3, 5)
    for entropy in ((5, 3), (3, 6), (4, 5), (3,)):
        assert all(a != b for a, b in zip(first, numbers(*entropy), strict=True))


def test_seeded_generators_do_not_seed_accelerators(monkeypatch):
    seeded = []
    monkeypatch.setattr(torch.cuda, 'manual_seed_all', seeded.append)
    with seeded_generators(1):
        torch.rand(())
    assert seeded == []


def test_without_a_seed_the_process_draws(positions):
    """As MMagic's dataset: another sampler gives the same index another crop in every pass."""
    dataset = build(positions)
    seen = draws(dataset, [2] * 20)
    assert len(np.unique(seen.reshape(20, -1), axis=0)) > 15
    np.random.seed(0)
    first = draws(dataset, [2] * 5)
    np.random.seed(0)
    np.testing.assert_array_equal(draws(dataset, [2] * 5), first)


@pytest.mark.parametrize('start', [0, 3])
def test_workers_do_not_change_samples(positions, start):
    def samples(num_workers):
        dataset = build(positions)
        sampler = ResumableSampler(dataset, seed=4)
        sampler.start = start
        loader = DataLoader(
            dataset, 2, sampler=sampler, num_workers=num_workers, collate_fn=lambda batch: batch
        )
        np.random.seed(num_workers)
        batches = iter(loader)
        return np.array(
            [
                whereabouts(s, d)
                for _ in range(6)
                for s in next(batches)
                for d in ('sketch', 'photo')
            ]
        )

    np.testing.assert_array_equal(samples(2), samples(0))


def test_test_pictures_come_in_order(picture_folders):
    dataset = build(picture_folders(count=3), [], split='test', paired=True)
    assert len(dataset) == 3
    for i in range(3):
        for side in 'AB':
            assert dataset[i][f'img_{side}_path'].endswith(f'test{side}/{i}.png')


def test_meta_information_names_the_files(positions):
    dataset = build(positions)
    dataset.sample_seed = 1
    sample = dataset[2]['data_samples']
    assert sample.metainfo['img_sketch_path'] == str(positions / 'trainA' / '2.png')
    assert sample.metainfo['img_photo_channel_order'] == 'BGR'
    assert sample.img_sketch.shape == (3, CROP, CROP)


def test_missing_root(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere' is not a folder.*trainA and trainB"):
        build(tmp_path / 'nowhere')


@pytest.mark.parametrize('test_mode', [False, True])
@pytest.mark.parametrize('side', 'AB')
def test_missing_folder(picture_folders, side, test_mode):
    root = picture_folders()
    folder = root / f'{"test" if test_mode else "train"}{side}'
    shutil.rmtree(folder)
    with pytest.raises(FileNotFoundError, match=f"{folder}' is not a folder.*testA and testB"):
        build(root, test_mode=test_mode)
    build(root, test_mode=not test_mode)


def test_empty_folder(picture_folders):
    root = picture_folders()
    for path in (root / 'trainB').iterdir():
        path.rename(path.with_suffix('.txt'))
    with pytest.raises(ValueError, match=r"trainB' holds no picture \(names that end in .*\.png"):
        build(root)


def test_pictures_in_folders_below(picture_folders):
    root = picture_folders(count=2)
    (root / 'trainA' / 'more').mkdir()
    shutil.copy(root / 'trainA' / '0.png', root / 'trainA' / 'more' / '7.PNG')
    assert len(build(root)) == 3


def test_pairs_may_differ_in_extension_only(picture_folders):
    root = picture_folders(count=3)
    (root / 'testA' / '1.png').rename(root / 'testA' / '1.jpg')
    build(root, test_mode=True, paired=True)


def test_pairs_that_do_not_match(picture_folders):
    root = picture_folders(count=3)
    (root / 'testB' / '1.png').rename(root / 'testB' / '8.png')
    with pytest.raises(ValueError, match=r"testA \(3 pictures\).*testB \(3\).*'1' and '2'"):
        build(root, test_mode=True, paired=True)
    build(root, test_mode=True)
    (root / 'testB' / '8.png').rename(root / 'testB' / '1.png')
    (root / 'testA' / '2.png').unlink()
    with pytest.raises(ValueError, match="none and '2'"):
        build(root, test_mode=True, paired=True)


def test_pairs_are_not_for_training(picture_folders):
    root = picture_folders(count=3)
    with pytest.raises(ValueError, match="paired=True is for split='val' and 'test'"):
        build(root, paired=True)
    with pytest.raises(ValueError, match='pairs in the folders valA and valB'):
        build(root, split='val', held_out=1, paired=True)


def names(dataset, domain):
    """Pictures that a dataset reads, in order, as ``folder/name``."""
    infos = dataset.data_infos_a if domain == 'A' else dataset.data_infos_b
    return [info['path'].split('pictures/')[1] for info in infos]


def test_validation_folders(picture_folders):
    picture_folders(('valA', 'valB'), count=3)
    root = picture_folders(count=2)
    dataset = build(root, [], split='val', paired=True)
    for domain in 'AB':
        assert names(dataset, domain) == [f'val{domain}/{i}.png' for i in range(3)]
    for i in range(3):  # in order, without randomness
        assert dataset[i]['img_B_path'].endswith(f'valB/{i}.png')
    assert names(build(root, []), 'A') == ['trainA/0.png', 'trainA/1.png']
    (root / 'valB' / '1.png').rename(root / 'valB' / '9.png')
    with pytest.raises(ValueError, match=r"valA \(3 pictures\).*'1' and '2'"):
        build(root, split='val', paired=True)
    shutil.rmtree(root / 'valB')
    with pytest.raises(FileNotFoundError, match="valB' is not a folder"):
        build(root, split='val')


def test_held_out_pictures_are_not_trained_on(picture_folders):
    picture_folders(('trainA',), count=10)
    root = picture_folders(('trainB', 'testA', 'testB'), count=7)
    train, val = (build(root, [], split=split, held_out=3) for split in ('train', 'val'))
    # The middles of three equal parts.
    assert names(val, 'A') == [f'trainA/{i}.png' for i in (1, 5, 8)]
    assert names(val, 'B') == [f'trainB/{i}.png' for i in (1, 3, 5)]
    assert names(train, 'A') == [f'trainA/{i}.png' for i in (0, 2, 3, 4, 6, 7, 9)]
    assert names(train, 'B') == [f'trainB/{i}.png' for i in (0, 2, 4, 6)]
    assert len(train) == 7 and len(val) == 3
    drawn = {train[i][f'img_{side}_path'] for i in range(60) for side in 'AB'}
    shown = {val[i][f'img_{side}_path'] for i in range(3) for side in 'AB'}
    assert len(drawn) == 11 and len(shown) == 6 and not drawn & shown
    for i in range(3):  # in order, without randomness
        assert val[i]['img_B_path'].endswith(names(val, 'B')[i])
    assert len(build(root, split='test')) == 7


@pytest.mark.parametrize('held_out', [1, 2, 5, 9])
def test_held_out_pictures_are_as_many_and_spread(picture_folders, held_out):
    root = picture_folders(count=10)
    chosen = [
        int(name[len('trainA/') : -len('.png')])
        for name in names(build(root, split='val', held_out=held_out), 'A')
    ]
    assert len(chosen) == held_out
    gaps = np.diff([-1, *chosen, 10])
    assert gaps[1:-1].max(initial=0) - gaps[1:-1].min(initial=10) <= 1
    assert abs(gaps[0] - gaps[-1]) <= 1


def test_held_out_of_too_few(picture_folders):
    picture_folders(('trainA',), count=5)
    root = picture_folders(('trainB',), count=3)
    for split in ('train', 'val'):
        with pytest.raises(ValueError, match=r"held_out=3, but folder .*trainB' holds 3 pictures"):
            build(root, split=split, held_out=3)
        build(root, split=split, held_out=2)


def test_one_way_to_validate(picture_folders):
    root = picture_folders(('valA', 'trainA', 'trainB'))
    for split in ('train', 'val'):
        with pytest.raises(ValueError, match=r'held_out=1, but .*valA exists: validate either'):
            build(root, split=split, held_out=1)
    shutil.rmtree(root / 'valA')
    with pytest.raises(ValueError, match=r"nothing for split='val'.*valA and valB.*held_out=N"):
        build(root, split='val')


def test_test_mode_is_the_split_test(picture_folders):
    root = picture_folders()
    assert build(root, test_mode=True).split == 'test'
    assert names(build(root, test_mode=True), 'A') == names(build(root, split='test'), 'A')
    assert build(root).split == 'train' and not build(root).test_mode
    with pytest.raises(ValueError, match="test_mode=True is another word for split='test'.*'val'"):
        build(root, split='val', test_mode=True)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (
            dict(split='validation'),
            r"split must be one of \('train', 'val', 'test'\).*'validation'",
        ),
        (dict(split='test', held_out=2), 'held_out divides the training folders'),
        (dict(held_out=-1), 'held_out must be a whole number, 0 or more, got -1'),
        (dict(held_out=0.1), 'held_out must be a whole number, 0 or more, got 0.1'),
    ],
)
def test_bad_arguments(picture_folders, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(picture_folders(), **arguments)


def test_a_picture_smaller_than_the_crop(picture_folders):
    dataset = build(picture_folders(size=(16, 40)), pipeline(crop=24))
    dataset.sample_seed = 0
    with pytest.raises(ValueError, match=r"trainA/0\.png' is 16 x 40 .*24 x 24"):
        dataset[0]


def test_is_a_dataset_of_mmagic():
    from mmagic.datasets import UnpairedImageDataset

    assert issubclass(UnpairedFolderDataset, UnpairedImageDataset)
