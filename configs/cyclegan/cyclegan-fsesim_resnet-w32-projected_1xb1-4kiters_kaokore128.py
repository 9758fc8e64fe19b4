_base_ = [
    '../_base_/models/cyclegan_fsesim_resnet_w32_projected.py',
    '../_base_/datasets/kaokore128.py',
    '../_base_/schedules/adam_2e-4_linear_generators.py',
    '../_base_/default_runtime.py',
]

domains = ['sketch', 'painting']
model = dict(
    default_domain='painting',
    reachable_domains=domains,
    related_domains=domains,
    data_preprocessor=dict(data_keys=['img_sketch', 'img_painting']),
)
default_hooks = dict(checkpoint=dict(interval=1000))

max_iters = 4000
train_cfg = dict(max_iters=max_iters, val_interval=1000)
param_scheduler = dict(generators=dict(begin=max_iters // 2, end=max_iters))
