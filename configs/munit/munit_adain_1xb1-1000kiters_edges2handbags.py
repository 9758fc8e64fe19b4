_base_ = [
    '../_base_/models/munit.py',
    '../_base_/datasets/edges2handbags.py',
    '../_base_/schedules/adam_1e-4_step_1000k.py',
    '../_base_/default_runtime.py',
]

model = dict(source_domain='edge', target_domain='handbag', cycle_weight=0.0)
default_hooks = dict(checkpoint=dict(save_best='distribution/kid_clean'))
