"""A training small enough for tests: pictures of 32 pixels, networks of width 4."""

import itertools
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.runner import Runner

import sesim_mmagic  # noqa: F401  repairs MMagic

# Tensors are so small that threads would only wait for each other.
torch.set_num_threads(1)

_count = itertools.count()

CONFIG = """
default_scope = 'mmagic'
keys = ['img_A', 'img_B']
model = dict(
    type='sesim_mmagic.OneSidedTranslator',
    generator=dict(type='sesim_mmagic.ResNetBlurGenerator', base_channels=4, num_blocks=1),
    discriminator=dict(type='sesim_mmagic.BlurPatchGAN', base_channels=4, num_layers=2),
    source_domain='a', target_domain='b', buffer_size=3, ema=dict(momentum=0.1),
    data_preprocessor=dict(type='DataPreprocessor'),
    structure_loss=dict(
        type='sesim_mmagic.LSeSimLoss', layers=('relu2_2',), num_patches=16, patch_size=8,
        feature_net=dict(
            type='sesim_mmagic.VGG16Features', pretrained=None, seed=0, width=0.125)))
load = [dict(type='sesim_mmagic.LoadPicture', key=key) for key in keys]
augment = [dict(type='Crop', keys=[key], crop_size=(24, 24), random_crop=True) for key in keys]
pack = dict(type='sesim_mmagic.PackDomains', A='a', B='b')
data = dict(type='sesim_mmagic.UnpairedFolderDataset', data_root='@DATA@')
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='sesim_mmagic.ResumableSampler'),
    dataset=dict(pipeline=[*load, *augment, pack], **data))
test_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(pipeline=[*load, pack], test_mode=True, **data))
train_cfg = dict(type='sesim_mmagic.ResumableIterTrainLoop', max_iters=6)
test_cfg = dict(type='TestLoop')
test_evaluator = dict(type='mmengine.Evaluator', metrics=[])
adam = dict(optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.999)))
optim_wrapper = dict(
    constructor='MultiOptimWrapperConstructor',
    generators=adam, discriminators=adam, structure_loss=adam)
param_scheduler = dict(
    type='LinearLR', start_factor=1, end_factor=0.1, begin=2, end=6, by_epoch=False)
default_hooks = dict(
    checkpoint=dict(
        type='sesim_mmagic.SafeCheckpointHook', interval=2, by_epoch=False, max_keep_ckpts=1),
    logger=dict(type='LoggerHook', interval=100),
    translations=dict(type='sesim_mmagic.SaveTranslationsHook'))
model_wrapper_cfg = dict(
    type='MMSeparateDistributedDataParallel', broadcast_buffers=False)
env_cfg = dict(dist_cfg=dict(backend='nccl'), mp_cfg=dict(mp_start_method='fork'))
randomness = dict(seed=7)
log_level = 'WARNING'
log_processor = dict(type='LogProcessor', by_epoch=False)
"""


def write_pictures(root, train=(5, 4), test=3):
    """Write a random unpaired data set whose test pictures have partners; return its folder."""
    rng = np.random.default_rng(0)
    sizes = dict(trainA=train[0], trainB=train[1], testA=test, testB=test)
    for folder, number in sizes.items():
        Path(root, folder).mkdir(parents=True)
        for i in range(number):
            shape = (30, 37, 3) if folder.startswith('test') else (32, 32, 3)
            picture = rng.integers(0, 256, shape, dtype=np.uint8)
            cv2.imwrite(str(Path(root, folder, f'{i}.png')), picture)
    return root


def write_config(path, data, **options):
    """Write the config with settings overridden by dotted keys; return its path."""
    cfg = Config.fromstring(CONFIG.replace('@DATA@', str(data)), '.py')
    cfg.merge_from_dict({key.replace('__', '.'): value for key, value in options.items()})
    cfg.dump(path)
    return path


def load_config(path, work_dir, **options):
    """Load a config for a run of its own in this process."""
    cfg = Config.fromfile(path)
    cfg.merge_from_dict({key.replace('__', '.'): value for key, value in options.items()})
    cfg.work_dir = str(work_dir)
    # MMEngine shares message hub and logger between runners of one name.
    cfg.experiment_name = f'tiny{next(_count)}'
    return cfg


def train(path, work_dir, *hooks, **options):
    """Train in this process and return the runner."""
    runner = Runner.from_cfg(load_config(path, work_dir, **options))
    for hook in hooks:
        runner.register_hook(hook)
    runner.train()
    return runner


def load(path):
    """Load a checkpoint."""
    return torch.load(path, map_location='cpu', weights_only=True)


def assert_same_state(left, right):
    """Compare everything of two checkpoints that shapes the rest of a training, bit for bit."""
    for part in ('state_dict', 'optimizer', 'param_schedulers', 'rank_buffers'):
        _assert_equal(left.get(part), right.get(part), part)


def _assert_equal(left, right, where):
    assert type(left) is type(right), where
    if torch.is_tensor(left):
        assert torch.equal(left, right), where
    elif isinstance(left, dict):
        assert left.keys() == right.keys(), where
        for key in left:
            _assert_equal(left[key], right[key], f'{where}.{key}')
    elif isinstance(left, (list, tuple)):
        assert len(left) == len(right), where
        for i, pair in enumerate(zip(left, right, strict=True)):
            _assert_equal(*pair, f'{where}[{i}]')
    else:
        assert left == right, where
