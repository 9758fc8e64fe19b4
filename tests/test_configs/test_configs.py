"""Every config builds as it stands and is what its name says; one of each kind trains, shrunken."""

import copy
import functools
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope, init_default_scope
from mmengine.runner import Runner
from PIL import Image

from sesim_mmagic.apis.inert_settings import check_inert, for_inference
from sesim_mmagic.datasets import write_shapes
from sesim_mmagic.registry import HOOKS, METRICS, MODELS

ROOT = Path(__file__).resolve().parents[2] / 'configs'
CONFIGS = sorted(
    str(path.relative_to(ROOT)) for path in ROOT.glob('*/*.py') if path.parent.name != '_base_'
)
# Together they hold every component that any config holds.
TRAINED = [
    'cut/cut_resnet_1xb1-534kiters_horse2zebra.py',
    'fsesim/fsesim_resnet_1xb1-1190kiters_cityscapes-label2photo.py',
    'cyclegan/cyclegan-fsesim_resnet_1xb1-270kiters_horse2zebra.py',
    'fsesim/fsesim_resnet-w32-projected_1xb1-500iters_openmoji-line2colour128.py',
    'baselines/perceptual_resnet-w32_1xb1-4kiters_kaokore128.py',
    'baselines/pixel_resnet-w24_1xb4-500iters_shapes64.py',
    'lsesim/lsesim_resnet-w32-projected_1xb1-4kiters_kaokore128.py',
    'munit/lsesim-munit_adain_1xb1-1000kiters_winter2summer.py',
    'munit/munit_adain-w16_1xb4-1kiters_shape-modes64.py',
    'pix2pix/pix2pix-fsesim_unet_1xb1-80kiters_facades.py',
    'single_image/sincut_stylegan2_1xb16-100kiters_pair.py',
]
NAME = re.compile(r'[a-z0-9-]+_[a-z0-9-]+_1xb(\d+)-(\d+)(k?)iters_([a-z0-9-]+)')
SIDE = 64


@functools.cache
def load(path):
    """A config, read once; whoever changes it takes a copy."""
    return Config.fromfile(ROOT / path)


def components(config):
    """Types of all components of a config."""
    config = config._cfg_dict if isinstance(config, Config) else config
    items = config.values() if isinstance(config, dict) else config
    if isinstance(config, dict) and isinstance(config.get('type'), str):
        yield config['type']
    for item in items:
        if isinstance(item, (dict, list, tuple)):
            yield from components(item)


def test_there_is_a_config_for_every_promised_task():
    promised = (
        'horse2zebra', 'zebra2horse', 'apple2orange', 'cat2dog', 'summer2winter', 'cityscapes',
        'kaokore', 'shapes64', 'cyclegan', 'pix2pix', 'no-structure', 'pixel', 'perceptual',
        'cut', 'fastcut', 'lsesim', 'monet2photo', 'photo2monet', 'sincut',
        'winter2summer', 'night2day', 'edges2handbags',
    )  # fmt: skip
    assert [name for name in promised if not any(name in path for path in CONFIGS)] == []


@pytest.mark.parametrize('path', CONFIGS)
def test_config_builds(path):
    """All modules exist and take these arguments; data and weights need not be there.

    A checkpoint's config is one of these, too, and is built without losses and discriminators.
    """
    config = load(path)
    init_default_scope(config.default_scope)
    with torch.device('meta'):  # shapes without numbers
        model = MODELS.build(config.model)
        for_use = MODELS.build(for_inference(config.model))
    check_inert(config.model)
    assert for_use.discriminators is None
    assert for_use.generators.state_dict().keys() == model.generators.state_dict().keys()
    assert sum(p.numel() for p in model.generators.parameters()) > 1e5
    for hook in config.default_hooks.values():
        HOOKS.build(hook)
    for metric in config.test_evaluator:
        METRICS.build(metric)
    schedules = config.param_scheduler
    for scheduler in [schedules] if 'type' in schedules else schedules.values():
        if scheduler.type == 'ConstantLR':
            continue
        assert scheduler.end == config.max_iters
        if scheduler.type == 'LinearLR':
            assert config.max_iters / 2 <= scheduler.begin < scheduler.end
    assert config.train_cfg.max_iters == config.max_iters


@pytest.mark.parametrize('path', CONFIGS)
def test_names_say_batch_iterations_and_data(path):
    config = load(path)
    batch, iterations, thousands, data = NAME.fullmatch(Path(path).stem).groups()
    assert config.train_dataloader.batch_size == int(batch)
    assert round(config.max_iters / (1000 if thousands else 1)) == int(iterations)
    base = ROOT / f'_base_/datasets/{data}.py'
    if not base.is_file():
        assert data in ('monet2photo', 'photo2monet')
        return
    base = Config.fromfile(base)
    for part in ('train', 'val', 'test'):
        dataset, other = (c[f'{part}_dataloader'].dataset for c in (config, base))
        assert (dataset.type, dataset.get('data_root')) == (other.type, other.get('data_root'))
    assert list(components(config.test_evaluator))[:1] == list(components(base.test_evaluator))[:1]


@pytest.mark.parametrize('path', CONFIGS)
def test_checkpoints_are_not_chosen_on_the_test_pictures(path):
    config = load(path)
    train, val, test = (config[f'{part}_dataloader'].dataset for part in ('train', 'val', 'test'))
    assert (train.get('split', 'train'), val.split, test.split) == ('train', 'val', 'test')
    assert train.get('held_out', 0) == val.get('held_out', 0)
    assert not test.get('held_out')


@pytest.mark.parametrize('path', [path for path in CONFIGS if '128' in path])
def test_small_recipes_keep_light_and_dark(path):
    """Self-similarity does not, and every domain of theirs is as light where the other one is."""
    model = load(path).model
    losses = [
        (model.get('structure_loss') or {}).get('type'),
        *components(model.get('more_losses') or {}),
    ]
    by_similarity = losses[0] in ('sesim_mmagic.FSeSimLoss', 'sesim_mmagic.LSeSimLoss')
    assert 'sesim_mmagic.BrightnessLoss' in losses or not by_similarity


def picture(path, seed, width=SIDE):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (SIDE, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def labels(path, seed):
    path.parent.mkdir(exist_ok=True)
    numbers = np.random.default_rng(seed).integers(0, 19, (SIDE, SIDE), dtype=np.uint8)
    Image.fromarray(numbers).save(path)


def make_data(root, val_dataset):
    """Three pictures a folder, in the layout that the dataset reads."""
    if val_dataset.type == 'sesim_mmagic.SingleImagePairDataset':
        for seed, name in enumerate('AB'):
            picture(root / f'{name}.png', seed)
        return
    if 'modes' in val_dataset.data_root:
        write_shapes(root, num_train=3, num_val=3, num_test=3, modes=4)
        return
    for index in range(3):
        if val_dataset.type == 'sesim_mmagic.PairedFolderDataset':
            for phase in ('train', 'val', 'test'):
                picture(root / phase / f'{index}.png', index, 2 * SIDE)
            continue
        held_out = val_dataset.get('held_out', 0)
        parts = ('train', 'test') if held_out else ('train', 'val', 'test')
        for number, folder in enumerate(part + side for part in parts for side in 'AB'):
            picture(root / folder / f'{index}.png', 10 * number + index)


def shrink(config):
    """Narrow networks, small pictures, random weights; the structure stays."""
    if isinstance(config, list | tuple):
        for item in config:
            shrink(item)
    if not isinstance(config, ConfigDict):
        return
    small = dict(
        base_channels=4, num_blocks=1, num_down=5, num_patches=8, num_styles=2, mlp_channels=8,
        scale=(SIDE, SIDE), crop_size=(SIDE // 2, SIDE // 2), min_size=(SIDE // 2, SIDE // 2),
    )  # fmt: skip
    for key, value in small.items():
        if key in config and config[key] != -1:  # -1: all positions
            config[key] = (
                SIDE // 2 if isinstance(config[key], int) and key == 'crop_size' else value
            )
    if config.get('held_out'):
        config['held_out'] = 2
    if config.get('keep_ratio'):
        config['scale'] = (65536, SIDE)
    kind = config.get('type')
    random_vgg = dict(type='sesim_mmagic.VGG16Features', pretrained=None, seed=0, width=0.125)
    if kind == 'sesim_mmagic.VGG16Features':
        config.update(random_vgg)
    elif kind == 'sesim_mmagic.PatchNCELoss':
        is_sincut = config.get('batch_negatives')
        config.update(layers=(0, 2, 4) if is_sincut else (0, 4, 8, 12))
        config.update(channels=(3, 8, 8) if is_sincut else (3, 8, 16, 16))
    elif kind == 'sesim_mmagic.StyleGAN2Generator':
        config.num_blocks = 4
    elif kind == 'sesim_mmagic.MultiScaleDiscriminator':
        config.num_layers = 2
    elif kind == 'sesim_mmagic.StyleGAN2Discriminator':
        config.size = SIDE // 2
    elif kind == 'sesim_mmagic.ProjectedDiscriminator':
        config.update(min_side=0, channels=8)
    elif kind == 'sesim_mmagic.StructureDistance':
        config.loss = dict(type='sesim_mmagic.FSeSimLoss', num_patches=-1, feature_net=random_vgg)
    elif kind == 'sesim_mmagic.LPIPSDiversity':
        config.lpips = dict(net='alex', pretrained=None, seed=0)
    elif kind == 'sesim_mmagic.SegmentationScores':
        config.segmentor.update(pretrained=None, seed=0)
        config.update(size=(SIDE // 2, SIDE), label_map=None, num_classes=19)
    elif kind == 'sesim_mmagic.DistributionScores':
        features = dict(type='sesim_mmagic.VGG16Features', layers=('relu2_2',))
        config.feature_net = dict(type='sesim_mmagic.PooledFeatures', network=features)
        config.num_neighbours = 1
    if config.get('save_best') == 'distribution/kid_clean':
        config['save_best'] = 'distribution/kid_vgg16_random'
    for value in config.values():
        shrink(value)


def test_every_component_is_in_a_config_that_trains():
    everything = {path: set(components(load(path))) for path in CONFIGS}
    assert all(len(each) > 10 for each in everything.values())
    trained = set().union(*(everything[path] for path in TRAINED))
    assert {path: missing for path, c in everything.items() if (missing := c - trained)} == {}


@pytest.mark.parametrize('path', TRAINED)
def test_shrunken_config_trains_and_tests(path, tmp_path):
    config = copy.deepcopy(load(path))
    shrink(config._cfg_dict)
    make_data(tmp_path / 'data', config.val_dataloader.dataset)
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        if 'A' in loader.dataset:
            loader.dataset.update(A=str(tmp_path / 'data/A.png'), B=str(tmp_path / 'data/B.png'))
        else:
            loader.dataset.data_root = str(tmp_path / 'data')
        loader.update(batch_size=1, num_workers=0, persistent_workers=False)
    for metric in config.test_evaluator:
        if 'label_folder' in metric:
            metric.label_folder = str(tmp_path / 'data/labels')
            for index in range(3):
                labels(tmp_path / f'data/labels/{index}.png', index)
    config.train_cfg.update(max_iters=2, val_interval=2)
    config.work_dir = str(tmp_path / 'work')
    config.experiment_name = path.replace('/', '_')
    config.log_level = 'WARNING'
    try:
        runner = Runner.from_cfg(config)
        runner.train()
        runner.test()
    finally:
        DefaultScope._instance_dict.clear()
    assert (tmp_path / 'work/iter_2.pth').is_file()
    assert list((tmp_path / 'work/test').glob('translations/*/*.png'))
    assert (tmp_path / 'work/test/index.html').is_file()
