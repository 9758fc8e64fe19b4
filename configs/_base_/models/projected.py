# A second discriminator that sees pictures through packaged features (Sauer et al., NeurIPS 2021):
# it knows textures and colours after few iterations. Its gradients grow large, hence the weight.
projected = dict(
    network=dict(
        type='sesim_mmagic.ProjectedDiscriminator',
        feature_net=dict(
            type='sesim_mmagic.TimmFeatures',
            model='tf_efficientnet_lite0',
            pretrained='package',
            layers=('blocks.1', 'blocks.2', 'blocks.4', 'blocks.6'),
            rms=(8.0, 7.4, 6.6, 2.8),
        ),
        min_side=128,
    ),
    weight=0.03,
    gan_loss=dict(type='GANLoss', gan_type='hinge'),
    augmentation=dict(translation=0.125, cutout=0.5),
)
