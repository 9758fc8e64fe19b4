_base_ = [
    '../_base_/models/sesim_pix2pix.py',
    '../_base_/datasets/facades.py',
    '../_base_/schedules/adam_2e-4_linear.py',
    '../_base_/default_runtime.py',
]

model = dict(
    default_domain='photo',
    reachable_domains=['photo'],
    related_domains=['photo', 'mask'],
    data_preprocessor=dict(data_keys=['img_photo', 'img_mask']),
)

# MMagic's schedule for this data
max_iters = 80000
train_cfg = dict(max_iters=max_iters)
param_scheduler = dict(begin=max_iters // 2, end=max_iters)
