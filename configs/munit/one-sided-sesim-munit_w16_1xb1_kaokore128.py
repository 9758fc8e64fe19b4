_base_ = './sesim-munit_w16_1xb1_kaokore128.py'

model = dict(two_sided=False)
