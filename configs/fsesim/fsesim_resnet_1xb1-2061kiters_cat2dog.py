_base_ = [
    '../_base_/models/fsesim_resnet.py',
    '../_base_/datasets/cat2dog.py',
    '../_base_/schedules/adam_1e-4_linear.py',
    '../_base_/default_runtime.py',
]

model = dict(source_domain='cat', target_domain='dog')
default_hooks = dict(checkpoint=dict(save_best='distribution/kid_clean'))

# 200 + 200 passes over 5153 pictures
max_iters = 2061200
train_cfg = dict(max_iters=max_iters)
param_scheduler = dict(begin=max_iters // 2, end=max_iters)
