"""Two pictures, endless crops: right pixels, the paper's draws, a function of seed and index."""

import pickle
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from PIL import Image
from torch.utils.data import DataLoader

from sesim_mmagic.datasets import ResumableSampler, SingleImagePairDataset

CROP = 40
SIZES = dict(A=(240, 200), B=(210, 230))  # width, height
PACK = dict(type='sesim_mmagic.PackDomains', A='x', B='y')
CONFIG = Path(__file__).resolve().parents[2] / 'configs/_base_/datasets/pair.py'


def position_picture(width, height, blue):
    """RGB pixels that tell their place: (column, row, blue)."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    return np.dstack([columns, rows, np.full_like(rows, blue)])


@pytest.fixture
def pictures(tmp_path):
    """Paths of two pictures of positions; A is given as a folder."""
    (tmp_path / 'a').mkdir()
    Image.fromarray(position_picture(*SIZES['A'], 1)).save(tmp_path / 'a/one.png')
    Image.fromarray(position_picture(*SIZES['B'], 2)).save(tmp_path / 'b.png')
    return dict(A=str(tmp_path / 'a'), B=str(tmp_path / 'b.png'))


def build(pictures, steps=(), seed=3, **kwargs):
    arguments = {'crop_size': CROP, 'length': 100, 'crops_per_zoom': 16, **pictures, **kwargs}
    with DefaultScope.overwrite_default_scope('mmagic'):
        dataset = SingleImagePairDataset(**arguments, pipeline=list(steps))
    dataset.sample_seed = seed
    return dataset


def whereabouts(sample, name):
    """(column, row, flipped, steps of columns, of rows) of a crop, read from its pixels."""
    crop = sample[f'img_{name}'][..., ::-1].astype(float)
    across, down = (crop[0, -1, 0] - crop[0, 0, 0]), (crop[-1, 0, 1] - crop[0, 0, 1])
    slopes = abs(across) / (CROP - 1), down / (CROP - 1)
    return crop[..., 0].min(), crop[0, 0, 1], across < 0, *slopes


def crops_of(dataset, indices):
    """Pixels of both domains, shape (samples, 2, H, W, 3)."""
    return np.array([[dataset[i][f'img_{n}'] for n in 'AB'] for i in indices])


def test_a_group_has_one_zoom_and_the_domains_their_own(pictures):
    dataset = build(pictures)
    slopes = {
        name: np.array([whereabouts(dataset[i], name)[3:] for i in range(16 * 12)])
        .reshape(12, 16, 2)
        .clip(1, 3)
        for name in 'AB'
    }
    tolerance = 1 / (CROP - 1) + 1e-9  # both ends are whole numbers
    for groups in slopes.values():
        assert np.ptp(groups, axis=1).max() <= tolerance, 'one zoom for a group'
        assert np.ptp(groups.mean(axis=1), axis=0).min() > 0.8, 'another for the next'
    a, b = (groups.mean(axis=1) for groups in slopes.values())
    assert np.abs(a - b).max(axis=0).min() > 0.5, 'A and B are zoomed apart'
    assert np.abs(a[:, 0] - a[:, 1]).max() > 0.5, 'width and height are zoomed apart'


def test_a_group_visits_cells_of_one_grid_once(pictures):
    dataset = build(pictures, min_zoom=1)  # 6 x 5 and 5 x 5 cells
    for name in 'AB':
        for group in range(4):
            places = [whereabouts(dataset[16 * group + i], name)[:2] for i in range(16)]
            assert len(set(places)) == 16
            assert len({(x % CROP, y % CROP) for x, y in places}) == 1


def test_half_of_the_crops_are_mirrored(pictures):
    dataset = build(pictures, min_zoom=1)
    flips = np.array([[whereabouts(dataset[i], n)[2] for n in 'AB'] for i in range(800)])
    assert np.abs(flips.mean(axis=0) - 0.5).max() < 0.06
    assert abs(np.corrcoef(flips.T)[0, 1]) < 0.12, 'A and B are flipped apart'
    within = [abs(np.corrcoef(flips[i::16, 0], flips[i + 1 :: 16, 0])[0, 1]) for i in range(15)]
    assert np.mean(within) < 0.25, 'samples of a group are flipped apart'


def test_a_sample_is_a_function_of_seed_and_index(pictures):
    dataset = build(pictures)
    forward = crops_of(dataset, range(40))
    np.random.seed(5)
    assert np.array_equal(crops_of(dataset, reversed(range(40)))[::-1], forward)
    assert np.array_equal(crops_of(pickle.loads(pickle.dumps(dataset)), range(40)), forward)
    other = crops_of(build(pictures, seed=4), range(40))
    later = crops_of(dataset, range(100, 140))  # the same places of the next pass
    for crops in (other, later):
        assert np.mean([np.array_equal(*pair) for pair in zip(crops, forward, strict=True)]) < 0.1
    dataset[0]
    dataset.sample_seed = 4  # a resumed training sets the seed after samples were drawn
    assert np.array_equal(crops_of(dataset, range(40)), other)
    assert np.array_equal(crops_of(dataset, [-1]), crops_of(dataset, [99]))


class Draw:
    """A transform that notes what the global generators give."""

    def __call__(self, results):
        results['drawn'] = np.random.random(), torch.rand(()).item()
        return results


def test_what_the_pipeline_draws_belongs_to_the_sample(pictures):
    dataset = build(pictures, [Draw()])
    drawn = [dataset[i]['drawn'] for i in range(4)]
    state = torch.get_rng_state(), np.random.get_state()[2]
    assert [build(pictures, [Draw()])[i]['drawn'] for i in range(4)] == drawn
    assert len(set(drawn)) == 4
    assert torch.equal(torch.get_rng_state(), state[0])
    assert np.random.get_state()[2] == state[1]


def test_without_a_seed_one_is_drawn_from_the_process(pictures):
    first, second = build(pictures, seed=None), build(pictures, seed=None)
    np.random.seed(1)
    crops = crops_of(first, range(5))
    np.random.seed(1)
    assert np.array_equal(crops_of(second, range(5)), crops)
    assert np.array_equal(crops_of(first, range(5)), crops), 'drawn once'
    assert not np.array_equal(crops_of(build(pictures, seed=None), range(5)), crops)


def batches(pictures, count, batch_size=16, start=0, rank=0, world_size=1, num_workers=0):
    """Pixels of batches of a training, shape (count, batch_size, 2, H, W, 3)."""
    dataset = build(pictures)
    sampler = ResumableSampler(dataset, seed=8, shuffle=False)
    sampler.rank, sampler.world_size, sampler.start = rank, world_size, start
    loader = DataLoader(
        dataset, batch_size, sampler=sampler, num_workers=num_workers, collate_fn=list
    )
    steps = islice(iter(loader), count)
    return np.array([[[s[f'img_{n}'] for n in 'AB'] for s in step] for step in steps])


def test_workers_do_not_change_samples(pictures):
    alone = batches(pictures, 8)  # 128 samples: beyond the pass of 100
    np.random.seed(9)
    assert np.array_equal(batches(pictures, 8, num_workers=2), alone)


def test_two_ranks_see_what_one_process_sees(pictures):
    ranks = [batches(pictures, 8, batch_size=8, rank=rank, world_size=2) for rank in (0, 1)]
    joined = np.stack(ranks, axis=2).reshape(8, 16, 2, CROP, CROP, 3)
    assert np.array_equal(joined, batches(pictures, 8))
    assert not np.array_equal(*ranks)


@pytest.mark.parametrize('start', [32, 104])
def test_a_training_resumes_in_its_order(pictures, start):
    unbroken = batches(pictures, 17, batch_size=8)
    resumed = batches(pictures, 17 - start // 8, batch_size=8, start=start)
    assert np.array_equal(resumed, unbroken[start // 8 :])


def test_samples_have_what_loading_leaves(pictures):
    for split in ('train', 'test'):
        sample = build(pictures, split=split)[0]
        for name in 'AB':
            assert (
                sample[f'img_{name}'].flags.writeable and sample[f'img_{name}'].flags.c_contiguous
            )
            assert sample[f'img_{name}'].dtype == np.uint8
            assert sample[f'img_{name}'][0, 0, 0] == 'AB'.index(name) + 1, 'BGR'
            assert sample[f'ori_img_{name}_shape'] == (*SIZES[name][::-1], 3)
            assert sample[f'img_{name}_channel_order'] == 'BGR'
            assert sample[f'img_{name}_color_type'] == 'color'
        assert Path(sample['img_A_path']) == Path(pictures['A']) / 'one.png'
        assert sample['img_B_path'] == pictures['B']


@pytest.mark.parametrize('split', ['val', 'test'])
def test_whole_pictures_to_validate_and_test_on(pictures, split):
    dataset = build(pictures, split=split, seed=None, crop_size=1000)
    assert len(dataset) == len(list(dataset)) == 1
    for name, blue in (('A', 1), ('B', 2)):
        expected = position_picture(*SIZES[name], blue)[..., ::-1]
        picture = dataset[0][f'img_{name}']
        assert np.array_equal(picture, expected)
        picture[:] = 0  # what a transform does to a sample
        assert np.array_equal(dataset[0][f'img_{name}'], expected)


def test_any_picture_is_read_deliberately(pictures, tmp_path):
    deep = np.linspace(0, 65535, 60 * 50).reshape(50, 60).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / 'deep.png')
    picture = build({**pictures, 'B': str(tmp_path / 'deep.png')}, split='test')[0]['img_B']
    assert np.array_equal(picture[..., 0], np.rint(deep / 257).astype(np.uint8))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(A=None), 'A must be the path of a picture, or of a folder.*got None'),
        (dict(split='training'), "split must be one of .*'val'.*got 'training'"),
        (dict(min_zoom=0), 'min_zoom must be a finite number at most 1 and above 0.*got 0'),
        (dict(min_zoom=1.01), 'min_zoom.*got 1.01'),
        (dict(min_zoom=float('nan')), 'min_zoom.*got nan'),
        (dict(min_zoom='1/3'), "min_zoom.*got '1/3'"),
        (dict(crop_size=0), 'crop_size must be a whole number, positive, got 0'),
        (dict(crop_size=64.0), 'crop_size must be a whole number, positive, got 64.0'),
        (dict(crops_per_zoom=0), 'crops_per_zoom must be a whole number, positive, got 0'),
        (dict(length=0), 'length must be a whole number, positive, got 0'),
        (dict(length=True), 'length must be a whole number, positive, got True'),
        (dict(crop_size=201), r"A, picture '.*one.png', is 200 x 240 pixels \(h.*crop_size=200"),
    ],
)
def test_bad_arguments(pictures, change, message):
    with pytest.raises(ValueError, match=message):
        build({**pictures, **change})


def test_a_crop_may_be_as_large_as_the_picture(pictures):
    sample = build(pictures, crop_size=200)[5]
    assert sample['img_A'].shape == (200, 200, 3)


def test_missing_pictures(pictures, tmp_path):
    with pytest.raises(FileNotFoundError, match="B='.*none.png' does not exist; give the path"):
        build({**pictures, 'B': str(tmp_path / 'none.png')})


def test_a_folder_holds_exactly_one_picture(pictures, tmp_path):
    folder = Path(pictures['A'])
    (folder / 'notes.txt').write_text('not a picture')
    build(pictures)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(
        ValueError, match=r"B: folder '.*empty' holds no picture \(names.*.png.*exactly"
    ):
        build({**pictures, 'B': str(tmp_path / 'empty')})
    for i in range(4):
        Image.fromarray(position_picture(*SIZES['A'], i)).save(folder / f'{i}.png')
    found = r"A='.*a' holds 5 pictures \('0.png', '1.png', '2.png', ...\) where exactly one"
    with pytest.raises(ValueError, match=found):
        build(pictures)


def test_the_same_pixels_twice(pictures, tmp_path):
    copy = str(tmp_path / 'copy.bmp')
    Image.open(Path(pictures['A']) / 'one.png').save(copy)
    with pytest.raises(ValueError, match='A and B hold the same pixels.*one.png.*copy.bmp'):
        build({**pictures, 'B': copy})


def test_an_animation(pictures, tmp_path):
    frames = [Image.fromarray(position_picture(*SIZES['B'], blue)) for blue in (0, 200)]
    frames[0].save(tmp_path / 'frames.webp', save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match='frames.webp.*cannot be used: it has 2 frames'):
        build({**pictures, 'B': str(tmp_path / 'frames.webp')})


class Count(BaseMetric):
    """Counts samples."""

    def process(self, data_batch, data_samples):
        self.results.extend(data_samples)

    def compute_metrics(self, results):
        return dict(samples=len(results), meta=self.dataset_meta['dataset_type'])


class Look(BaseModel):
    """Notes the shapes of its inputs."""

    shapes = []

    def forward(self, inputs, data_samples, mode):
        self.shapes.append({key: [tuple(t.shape) for t in value] for key, value in inputs.items()})
        return data_samples


def test_the_config_works_in_mmengines_loops(pictures, tmp_path, no_default_scope):
    cfg = Config.fromfile(CONFIG)
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].dataset.update(**pictures, pipeline=[PACK])
    cfg.train_dataloader.update(num_workers=0, persistent_workers=False)
    with DefaultScope.overwrite_default_scope('mmagic'):
        batch = next(iter(Runner.build_dataloader(cfg.train_dataloader, seed=1)))
        runner = Runner(
            Look(),
            str(tmp_path / 'work'),
            default_scope='mmagic',
            **{f'{split}_dataloader': cfg[f'{split}_dataloader'] for split in ('val', 'test')},
            val_cfg=dict(type='ValLoop'),
            val_evaluator=[Count()],
            test_cfg=dict(type='TestLoop'),
            test_evaluator=[Count()],
        )
        Look.shapes.clear()
        expected = dict(samples=1, meta='single_image_pair')
        assert runner.val() == runner.test() == expected
    assert [t.shape for t in batch['inputs']['img_x']] == [(3, 128, 128)] * 16
    whole = {f'img_{d}': [(3, *SIZES[n][::-1])] for d, n in (('x', 'A'), ('y', 'B'))}
    assert Look.shapes == [whole] * 2
    assert len(batch['data_samples']) == 16


def test_a_sampler_that_shuffles_would_mix_the_zooms(pictures):
    with pytest.raises(ValueError, match='SingleImagePairDataset .*set shuffle=False'):
        ResumableSampler(build(pictures), seed=0)
