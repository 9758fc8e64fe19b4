_base_ = './sesim-munit_adain-w16_1xb1-1kiters_edges2handbags-demo128.py'

model = dict(two_sided=False)
