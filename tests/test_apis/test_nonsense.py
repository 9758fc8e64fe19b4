"""Settings that make no sense are refused in one line: where configs are read, or when built."""

import copy
import functools

import pytest
from mmengine.config import Config

from sesim_mmagic.apis import settings
from sesim_mmagic.registry import MODELS
from tests.test_apis.test_settings import CYCLEGAN, KAOKORE, ROOT

CUT = ROOT / 'cut/cut_resnet-w24_1xb4-500iters_shapes64.py'
LSESIM = ROOT / 'lsesim/lsesim_resnet-w24_1xb4-500iters_shapes64.py'
NONSENSE = """
train_cfg.max_iters=-1 train_cfg.max_iters=0 train_cfg.max_iters='x' train_cfg.max_iters=2.5
train_cfg.max_iters=True train_cfg.val_interval=0 train_cfg.val_interval=-3 train_cfg=5
train_dataloader.batch_size=0 train_dataloader.batch_size=-1 train_dataloader.batch_size='x'
train_dataloader.num_workers=-1 train_dataloader.num_workers=0.5 val_dataloader.batch_size=0
train_dataloader.persistent_workers=2 train_dataloader.dataset=-1
optim_wrapper.generators.optimizer.lr=-1 optim_wrapper.generators.optimizer.lr=float('nan')
optim_wrapper.generators.optimizer.lr=float('inf') optim_wrapper.generators.optimizer.lr='x'
optim_wrapper.generators.optimizer.betas=(1.0,0.9) optim_wrapper.generators.optimizer.betas=(0.5,)
optim_wrapper.generators.optimizer.betas=(-0.1,0.9) optim_wrapper.generators.optimizer.eps=-1
optim_wrapper.generators.optimizer.weight_decay=-1 optim_wrapper.discriminators=None
optim_wrapper.generators.accumulative_counts=0 optim_wrapper.generators.optimizer=3
optim_wrapper='x' optim_wrapper=3
param_scheduler.begin=-1 param_scheduler.end=0 param_scheduler.end_factor=-1
param_scheduler.by_epoch='x' default_hooks.checkpoint.interval=0
default_hooks.checkpoint.interval=-2 default_hooks.checkpoint.interval=0.5
default_hooks.checkpoint.max_keep_ckpts=0 default_hooks.checkpoint.by_epoch='no'
default_hooks.logger.interval=0 default_hooks.fixed_inputs.interval=0 default_hooks.logger=7
randomness.seed=-1 randomness.seed='x' randomness.deterministic='maybe' log_level='LOUD' resume='no'
default_scope=3 log_processor.window_size=0 env_cfg.cudnn_benchmark=3 work_dir=3 model=None
model.channels_last='maybe' model.compile='maybe' model.buffer_size=0.5 model.buffer_size=-1
model.buffer_size=True model.identity_weight=-1 model.identity_weight=float('nan')
model.r1_weight=-0.5 model.gradient_penalty_weight='x' model.structure_identity_weight=-1
model.size_divisor=0 model.source_domain='' model.target_domain=3 model.flip_equivariance='x'
model.ema.momentum=2 model.ema.momentum=-0.5 model.ema.momentum='x' model.ema.interval=0
model.ema.momentm=0.1 model.ema=3 model.generator.base_channels=0 model.generator.base_channels='x'
model.generator.num_blocks=-1 model.discriminator.num_conv=0 model.gan_loss.loss_weight=-1
model.structure_loss.num_patches=0 model.structure_loss.num_patches=1.5
model.structure_loss.patch_size=0 model.structure_loss.patch_size='x' model.structure_loss.layers=()
model.structure_loss.layers=('relu9_1',) model.structure_loss.loss_weight=-1
model.structure_loss.loss_weight=float('inf') model.structure_loss.distance='l7'
model.structure_loss.feature_net.layers=('relu1_1',) model.structure_loss.feature_net.width=-1
""".split()


@functools.cache
def read(path):
    return Config.fromfile(path)


def refusal(path, setting):
    """The message with which a setting of a config is refused, None if it is not."""
    cfg = copy.deepcopy(read(path))
    key, _, text = setting.partition('=')
    *parents, name = key.split('.')
    place = cfg
    for parent in parents:
        if parent not in place:
            place[parent] = {}
        place = place[parent]
    place[name] = eval(text, {'float': float})
    try:
        settings.check_components(cfg)
        MODELS.build(copy.deepcopy(cfg.model))
    except ValueError as error:
        return str(error)
    return None


def test_there_are_many():
    assert len(set(NONSENSE)) == len(NONSENSE) > 80


@pytest.mark.parametrize('setting', NONSENSE)
def test_nonsense_is_refused(no_default_scope, setting):
    from mmengine.registry import init_default_scope

    init_default_scope('mmagic')
    message = refusal(KAOKORE, setting)
    assert message and '\n' not in message


@pytest.mark.parametrize(
    'path, setting',
    [
        (CYCLEGAN, 'model.loss_config.cycle_loss_weight=-1'),
        (CYCLEGAN, 'model.loss_config.cycle_loss_wieght=1'),
        (CYCLEGAN, "model.channels_last='maybe'"),
        (ROOT / 'munit/munit_adain-w16_1xb4-1kiters_shape-modes64.py', 'model.style_weight=-1'),
        (ROOT / 'munit/munit_adain-w16_1xb4-1kiters_shape-modes64.py', "model.two_sided='x'"),
        (CUT, 'model.structure_loss.temperature=0'),
        (CUT, 'model.structure_loss.width=0'),
        (LSESIM, 'model.structure_loss.temperature=-1'),
    ],
)  # fmt: skip
def test_nonsense_of_other_models_is_refused(no_default_scope, path, setting):
    from mmengine.registry import init_default_scope

    init_default_scope('mmagic')
    assert refusal(path, setting)
