_base_ = [
    '../_base_/models/fsesim_resnet_w32_projected.py',
    '../_base_/datasets/openmoji-line2colour128.py',
    '../_base_/schedules/adam_4e-4_linear.py',
    '../_base_/short_runtime.py',
]

# About four minutes on one free CPU core, with --amp less where bfloat16 is faster (training says).
model = dict(source_domain='line', target_domain='colour')

max_iters = 500
train_cfg = dict(max_iters=max_iters, val_interval=250)
param_scheduler = dict(begin=max_iters // 2, end=max_iters)
