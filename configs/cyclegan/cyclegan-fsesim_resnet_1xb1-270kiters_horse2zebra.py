_base_ = [
    '../_base_/models/sesim_cyclegan.py',
    '../_base_/datasets/horse2zebra.py',
    '../_base_/schedules/adam_2e-4_linear.py',
    '../_base_/default_runtime.py',
]

domains = ['horse', 'zebra']
model = dict(
    default_domain='zebra',
    reachable_domains=domains,
    related_domains=domains,
    data_preprocessor=dict(data_keys=['img_horse', 'img_zebra']),
)
default_hooks = dict(checkpoint=dict(save_best='distribution/kid_clean'))

# MMagic's schedule for this data
max_iters = 270000
train_cfg = dict(max_iters=max_iters)
param_scheduler = dict(begin=max_iters // 2, end=max_iters)
