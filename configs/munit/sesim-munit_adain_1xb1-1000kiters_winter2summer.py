_base_ = [
    '../_base_/models/sesim_munit.py',
    '../_base_/datasets/winter2summer.py',
    '../_base_/schedules/adam_1e-4_step_1000k.py',
    '../_base_/default_runtime.py',
]

model = dict(source_domain='winter', target_domain='summer')
default_hooks = dict(checkpoint=dict(save_best='distribution/kid_clean'))
