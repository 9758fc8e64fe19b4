_base_ = [
    '../_base_/models/munit_w16_projected.py',
    '../_base_/datasets/kaokore128-styles.py',
    '../_base_/schedules/adam_5e-4_linear_1k.py',
    '../_base_/short_runtime.py',
]

model = dict(source_domain='sketch', target_domain='painting')
