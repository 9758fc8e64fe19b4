_base_ = './sesim-munit_w16_1xb4_shape-modes64.py'

model = dict(two_sided=False)
