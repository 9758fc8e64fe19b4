_base_ = [
    '../_base_/models/munit_w16.py',
    '../_base_/datasets/edges2handbags-demo128.py',
    '../_base_/schedules/adam_5e-4_linear_1k.py',
    '../_base_/short_runtime.py',
]

model = dict(source_domain='edge', target_domain='handbag', cycle_weight=0.0)
