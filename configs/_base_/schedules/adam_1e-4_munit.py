# MUNIT's: Adam with weight decay, halved every 100 000 of a million iterations.
optimizer = dict(type='Adam', lr=1e-4, betas=(0.5, 0.999), weight_decay=1e-4)
optim_wrapper = dict(
    constructor='MultiOptimWrapperConstructor',
    generators=dict(type='OptimWrapper', optimizer=optimizer),
    discriminators=dict(type='OptimWrapper', optimizer=optimizer),
)
max_iters = 1_000_000
param_scheduler = dict(
    type='StepLR', step_size=100_000, gamma=0.5, by_epoch=False, begin=0, end=max_iters
)
