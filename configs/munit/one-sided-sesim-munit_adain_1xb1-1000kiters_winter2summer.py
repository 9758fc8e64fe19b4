_base_ = './sesim-munit_adain_1xb1-1000kiters_winter2summer.py'

model = dict(two_sided=False)
