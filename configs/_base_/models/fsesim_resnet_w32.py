# FSeSim's translator small enough for a CPU, on packaged features.
_base_ = ['./fsesim_resnet.py', './packaged.py']

model = dict(
    generator=dict(
        base_channels=32, num_blocks=4, init_cfg=dict(type='Normal', layer='Conv2d', std=0.02)
    ),
    discriminator=dict(
        _delete_=True,
        type='PatchDiscriminator',
        in_channels=3,
        base_channels=32,
        num_conv=3,
        norm_cfg=dict(type='IN'),
        init_cfg=dict(type='normal', gain=0.02),
    ),
    structure_loss=dict(
        layers=('blocks.0', 'blocks.1', 'blocks.2'),
        loss_weight=3.0,
        feature_net=dict(_delete_=True, **_base_.packaged),
    ),
    # Self-similarity does not tell a picture from its negative: a third of short runs painted that.
    more_losses=dict(brightness=dict(type='sesim_mmagic.BrightnessLoss')),
    ema=dict(momentum=0.005),
)
