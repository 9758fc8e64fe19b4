_base_ = './sesim-munit_adain_1xb1-1000kiters_edges2handbags.py'

model = dict(two_sided=False)
