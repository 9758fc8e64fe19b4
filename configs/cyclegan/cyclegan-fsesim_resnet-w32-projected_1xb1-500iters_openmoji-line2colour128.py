_base_ = [
    '../_base_/models/cyclegan_fsesim_resnet_w32_projected.py',
    '../_base_/datasets/openmoji-line2colour128.py',
    '../_base_/schedules/adam_4e-4_linear.py',
    '../_base_/short_runtime.py',
]

domains = ['line', 'colour']
model = dict(
    default_domain='colour',
    reachable_domains=domains,
    related_domains=domains,
    data_preprocessor=dict(data_keys=['img_line', 'img_colour']),
)

max_iters = 500
train_cfg = dict(max_iters=max_iters, val_interval=250)
param_scheduler = dict(begin=max_iters // 2, end=max_iters)
