_base_ = [
    '../_base_/models/munit.py',
    '../_base_/datasets/procedural_modes_64.py',
    '../_base_/schedules/adam_1e-4_munit.py',
    '../_base_/default_runtime.py',
]

# Small enough for a CPU.
source, target = 'flat', 'textured'
model = dict(
    source_domain=source,
    target_domain=target,
    generator=dict(base_channels=16, num_blocks=2, mlp_channels=64, style_downsamplings=3),
    discriminator=dict(base_channels=16, num_layers=3, num_scales=2),
    cycle_weight=10.0,
    num_styles=8,
)
optimizer = dict(lr=5e-4)
optim_wrapper = dict(generators=dict(optimizer=optimizer), discriminators=dict(optimizer=optimizer))

val_evaluator = [
    dict(type='sesim_mmagic.ModeCoverage', target_domain=target, source_domain=source, modes=4),
    dict(
        type='sesim_mmagic.LPIPSDiversity',
        target_domain=target,
        lpips=dict(net='alex', backbone=None, seed=0),
    ),
]
test_evaluator = val_evaluator

max_iters = 1000
train_cfg = dict(max_iters=max_iters, val_interval=250)
param_scheduler = dict(
    _delete_=True,
    type='LinearLR',
    start_factor=1,
    end_factor=0,
    by_epoch=False,
    begin=max_iters // 2,
    end=max_iters,
)
default_hooks = dict(
    logger=dict(interval=50), checkpoint=dict(interval=250), fixed_inputs=dict(interval=250)
)
