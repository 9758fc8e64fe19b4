_base_ = './sesim-munit_w16_1xb1_edges2handbags-demo128.py'

model = dict(two_sided=False)
