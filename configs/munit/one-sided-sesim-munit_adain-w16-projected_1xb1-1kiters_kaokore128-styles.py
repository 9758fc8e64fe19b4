_base_ = './sesim-munit_adain-w16-projected_1xb1-1kiters_kaokore128-styles.py'

model = dict(two_sided=False)
