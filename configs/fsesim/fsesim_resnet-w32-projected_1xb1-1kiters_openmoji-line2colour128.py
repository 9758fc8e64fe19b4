_base_ = [
    '../_base_/models/fsesim_resnet_w32_projected.py',
    '../_base_/datasets/openmoji-line2colour128.py',
    '../_base_/schedules/adam_2e-4_linear.py',
    '../_base_/short_runtime.py',
]

model = dict(source_domain='line', target_domain='colour')

# Ten minutes on one CPU core with --amp, where the processor has bfloat16.
max_iters = 1000
train_cfg = dict(max_iters=max_iters, val_interval=500)
param_scheduler = dict(begin=max_iters // 2, end=max_iters)
