_base_ = './fsesim_resnet-w32-projected_1xb1-4kiters_kaokore128.py'

# About half an hour on one free CPU core with --amp, where bfloat16 is faster.
max_iters = 6000
train_cfg = dict(max_iters=max_iters)
param_scheduler = dict(generators=dict(begin=max_iters // 2, end=max_iters))
