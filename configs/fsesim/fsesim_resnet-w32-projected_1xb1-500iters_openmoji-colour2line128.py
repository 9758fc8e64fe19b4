_base_ = [
    '../_base_/models/fsesim_resnet_w32_projected.py',
    '../_base_/datasets/openmoji-colour2line128.py',
    '../_base_/schedules/adam_4e-4_linear.py',
    '../_base_/short_runtime.py',
]

# About four minutes on one free CPU core.
model = dict(source_domain='colour', target_domain='line')

max_iters = 500
train_cfg = dict(max_iters=max_iters, val_interval=250)
param_scheduler = dict(begin=max_iters // 2, end=max_iters)
