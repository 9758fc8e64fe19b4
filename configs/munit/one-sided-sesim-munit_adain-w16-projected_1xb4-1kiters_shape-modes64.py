_base_ = './sesim-munit_adain-w16-projected_1xb4-1kiters_shape-modes64.py'

# With styles of 8 numbers it missed one or two of the four looks.
model = dict(two_sided=False, generator=dict(style_channels=2))
