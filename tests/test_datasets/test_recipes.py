"""What the recipes do with pictures is what the authors' transforms do, to the level."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from PIL import Image
from torchvision.transforms import InterpolationMode, Resize

import sesim_mmagic
from sesim_mmagic.datasets.samplers import ResumableSampler
from sesim_mmagic.registry import DATASETS

CONFIGS = Path(sesim_mmagic.__file__).parents[1] / 'configs'
CUBIC, LINEAR = InterpolationMode.BICUBIC, InterpolationMode.BILINEAR


@pytest.fixture(autouse=True)
def default_scope(no_default_scope):
    init_default_scope('mmagic')


@pytest.fixture(params=['a.jpg', 'a.png'])
def photograph(request, tmp_path):
    """Path of a picture with edges, noise and smooth parts."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((500, 401), Image.Resampling.BICUBIC)
    picture.paste((255, 0, 0), (100, 50, 333, 222))
    picture.paste(Image.fromarray(noise), (200, 200))
    picture.save(tmp_path / request.param)
    return tmp_path / request.param


def resized(pipeline, path, key='img_A'):
    """The picture after loading and resizing, RGB."""
    steps = [t for t in pipeline if key in (t.get('key'), *t.get('keys', ()))]
    assert [t['type'] for t in steps[:2]] == ['sesim_mmagic.LoadPicture', 'Resize']
    return Compose(steps[:2])({f'{key}_path': str(path)})[key][..., ::-1]


@pytest.mark.parametrize(
    'config, train, test',
    [
        ('fsesim/fsesim_resnet_1xb1-534kiters_horse2zebra.py', ((286, 286), CUBIC), CUBIC),
        ('lsesim/lsesim_resnet_1xb1-2061kiters_cat2dog.py', ((286, 286), CUBIC), CUBIC),
        ('cut/fastcut_resnet_1xb1-267kiters_horse2zebra.py', ((286, 286), CUBIC), CUBIC),
        ('cyclegan/cyclegan_resnet_1xb1-270kiters_horse2zebra.py', ((286, 286), CUBIC), CUBIC),
        ('munit/sesim-munit_adain_1xb1-1000kiters_winter2summer.py', (256, LINEAR), LINEAR),
    ],
)
def test_pictures_are_resized_as_by_the_authors(config, train, test, photograph):
    config = Config.fromfile(CONFIGS / config)
    picture = Image.open(photograph).convert('RGB')
    expected = np.asarray(Resize(*train)(picture))
    found = resized(config.train_dataloader.dataset.pipeline, photograph)
    if train[0] == 256:  # MMCV rounds the longer side, torchvision cuts it off
        picture = picture.resize(found.shape[1::-1], Image.Resampling.BILINEAR)
        expected = np.asarray(picture)
    np.testing.assert_array_equal(found, expected)
    for loader in (config.val_dataloader, config.test_dataloader):
        found = resized(loader.dataset.pipeline, photograph)
        assert found.shape == (256, 319, 3)
        picture = Image.open(photograph).convert('RGB')
        np.testing.assert_array_equal(found, Resize((256, 319), test)(picture))


def late_dataset(root, **kwargs):
    load = dict(type='sesim_mmagic.LoadPicture', key='img_A')
    sizes = [dict(type='Resize', keys=['img_A'], scale=(side, side)) for side in (8, 4)]
    kwargs = dict(late_pipeline=[load, sizes[1]], late_after=8) | kwargs
    return DATASETS.build(
        dict(
            type='sesim_mmagic.UnpairedFolderDataset',
            data_root=str(root),
            pipeline=[load, sizes[0]],
            **kwargs,
        )
    )


@pytest.mark.parametrize('late_after, first', [(0, 0), (1, 3), (6, 6), (8, 9)])
def test_late_passes_have_a_pipeline_of_their_own(picture_folders, late_after, first):
    """From the first pass on that begins late, on all ranks and wherever a training resumes."""
    dataset = late_dataset(picture_folders(count=3), late_after=late_after)
    sampler = ResumableSampler(dataset, seed=0)
    expected = [8 if position < first else 4 for position in range(12)]

    def sides(count):
        return [len(dataset[index]['img_A']) for index in islice(sampler, count)]

    assert sides(12) == expected
    sampler.start = 7
    assert sides(5) == expected[7:]
    sampler.world_size = 2
    for sampler.rank in (0, 1):
        sampler.start = 2
        assert sides(4) == expected[sampler.rank :: 2][2:]


def test_late_pipelines_need_to_know_the_pass(picture_folders):
    root = picture_folders()
    with pytest.raises(ValueError, match="set train_dataloader.sampler.type='.*ResumableSampler'"):
        late_dataset(root)[0]
    for wrong, message in (
        (dict(split='test'), "is for split='train'"),
        (dict(late_after=-1), 'late_after must be a whole'),
        (dict(late_pipeline=None), 'late_after says when late_pipeline begins; give both'),
    ):
        with pytest.raises(ValueError, match=message):
            late_dataset(root, **wrong)


@pytest.mark.parametrize(
    'config', ['cut_resnet_1xb1-534kiters_horse2zebra', 'fastcut_resnet_1xb1-267kiters_horse2zebra']
)
def test_cut_stops_cropping_when_its_learning_rate_falls(config, photograph):
    config = Config.fromfile(CONFIGS / f'cut/{config}.py')
    dataset = config.train_dataloader.dataset
    # All pictures, as CUT: the boundary is that of an epoch.
    assert dataset.late_after == config.param_scheduler.begin
    assert dataset.late_after % 1334 == 0
    picture = Image.open(photograph).convert('RGB')
    expected = np.asarray(Resize((256, 256), CUBIC)(picture))
    for key in ('img_A', 'img_B'):
        found = resized(dataset.late_pipeline, photograph, key)
        np.testing.assert_array_equal(found, expected)
    kinds = [t['type'] for t in dataset.late_pipeline]
    assert kinds == [t for t in kinds if 'Crop' not in t] and kinds.count('Flip') == 2
    fsesim = Config.fromfile(CONFIGS / 'fsesim/fsesim_resnet_1xb1-534kiters_horse2zebra.py')
    assert 'late_pipeline' not in fsesim.train_dataloader.dataset
