_base_ = [
    '../_base_/models/munit_w16_projected.py',
    '../_base_/datasets/openmoji-line2colour128.py',
    '../_base_/schedules/adam_5e-4_linear_1k.py',
    '../_base_/short_runtime.py',
]

# Which colours a thing has, a line drawing does not tell: each style is one answer.
model = dict(source_domain='line', target_domain='colour')
