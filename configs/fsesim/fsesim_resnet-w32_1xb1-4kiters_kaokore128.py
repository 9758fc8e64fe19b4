_base_ = [
    '../_base_/models/fsesim_resnet_w32.py',
    '../_base_/datasets/kaokore128.py',
    '../_base_/schedules/adam_2e-4_linear.py',
    '../_base_/default_runtime.py',
]

# About 22 minutes on one free CPU core.
model = dict(source_domain='sketch', target_domain='painting')
default_hooks = dict(checkpoint=dict(interval=1000))

max_iters = 4000
train_cfg = dict(max_iters=max_iters, val_interval=1000)
param_scheduler = dict(begin=max_iters // 2, end=max_iters)
