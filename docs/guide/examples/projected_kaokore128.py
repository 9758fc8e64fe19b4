_base_ = '../../../configs/fsesim/fsesim_resnet-w32_1xb1-4kiters_kaokore128.py'

projected = dict(
    network=dict(
        type='sesim_mmagic.ProjectedDiscriminator',
        # From fine to coarse, maps of 1/4 to 1/32 of the picture's side.
        feature_net=dict(
            type='sesim_mmagic.TimmFeatures',
            model='tf_efficientnet_lite0',
            pretrained='package',
            layers=('blocks.1', 'blocks.2', 'blocks.4', 'blocks.6'),
            rms=(8.0, 7.4, 6.6, 2.8),
        ),
        min_side=192,
    ),
    weight=0.03,
    gan_loss=dict(type='GANLoss', gan_type='hinge'),
    augmentation=dict(translation=0.125, cutout=0.5),
)
model = dict(more_discriminators=dict(projected=projected))
