_base_ = './sesim-munit_adain-w16-projected_1xb1-1kiters_openmoji-line2colour128.py'

model = dict(two_sided=False)
