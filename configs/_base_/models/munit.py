# MUNIT as published: reconstruction of images, styles and contents, and an explicit cycle, which
# some data sets go without (cycle_weight=0). A config sets the domains.
model = dict(
    type='sesim_mmagic.MultiModalTranslator',
    data_preprocessor=dict(type='DataPreprocessor'),
    generator=dict(
        type='sesim_mmagic.MUNITGenerator',
        base_channels=64,
        style_channels=8,
        num_downsamplings=2,
        num_blocks=4,
        mlp_channels=256,
    ),
    discriminator=dict(
        type='sesim_mmagic.MultiScaleDiscriminator', base_channels=64, num_layers=4, num_scales=3
    ),
    gan_loss=dict(type='GANLoss', gan_type='lsgan'),
    image_weight=10.0,
    style_weight=1.0,
    content_weight=1.0,
    cycle_weight=10.0,
    num_styles=10,
)
