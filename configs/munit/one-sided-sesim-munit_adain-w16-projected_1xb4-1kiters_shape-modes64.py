_base_ = './sesim-munit_adain-w16-projected_1xb4-1kiters_shape-modes64.py'

# As in the recipe without projected discriminator, where styles of 8 numbers missed looks.
model = dict(
    two_sided=False,
    content_weight=0.0,
    structure_loss=dict(loss_weight=3.0),
    generator=dict(style_channels=2),
)
