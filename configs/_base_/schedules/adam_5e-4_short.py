# Short trainings of small networks: 1000 iterations, the second half with a falling rate; with the
# runtime, some of whose intervals it shortens.
_base_ = '../default_runtime.py'
optimizer = dict(type='Adam', lr=5e-4, betas=(0.5, 0.999), weight_decay=1e-4)
optim_wrapper = dict(
    constructor='MultiOptimWrapperConstructor',
    generators=dict(type='OptimWrapper', optimizer=optimizer),
    discriminators=dict(type='OptimWrapper', optimizer=optimizer),
)
max_iters = 1000
train_cfg = dict(max_iters=max_iters, val_interval=250)
param_scheduler = dict(
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
