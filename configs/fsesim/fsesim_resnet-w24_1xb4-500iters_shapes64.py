_base_ = [
    '../_base_/models/fsesim_resnet_w24.py',
    '../_base_/datasets/shapes64.py',
    '../_base_/schedules/adam_1e-4_linear.py',
    '../_base_/default_runtime.py',
]

model = dict(source_domain='textured', target_domain='flat')
optim_wrapper = dict(generators=dict(optimizer=dict(lr=2e-4)))

max_iters = 500
train_cfg = dict(max_iters=max_iters, val_interval=100)
param_scheduler = dict(begin=300, end=max_iters)
default_hooks = dict(
    logger=dict(interval=50),
    # Structure is what a translator loses on this data set, and longer training is not better.
    checkpoint=dict(interval=100, max_keep_ckpts=10, save_best='synthetic/foreground_iou'),
)
