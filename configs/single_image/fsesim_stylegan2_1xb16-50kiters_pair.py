_base_ = [
    '../_base_/models/fsesim_stylegan2.py',
    '../_base_/datasets/pair.py',
    '../_base_/schedules/adam_1e-3_linear.py',
    '../_base_/default_runtime.py',
]

model = dict(source_domain='source', target_domain='style')

# 4 + 4 passes over 100 000 crops
max_iters = 50000
train_cfg = dict(max_iters=max_iters, val_interval=10000)
param_scheduler = dict(begin=max_iters // 2, end=max_iters)
default_hooks = dict(
    fixed_inputs=dict(interval=2500),
    # The translation at every validation: how it came about.
    translations=dict(validations=True),
)
