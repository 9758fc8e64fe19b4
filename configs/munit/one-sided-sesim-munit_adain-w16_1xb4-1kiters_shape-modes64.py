_base_ = './sesim-munit_adain-w16_1xb4-1kiters_shape-modes64.py'

model = dict(two_sided=False)
