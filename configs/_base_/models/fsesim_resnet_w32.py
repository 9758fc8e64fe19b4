# FSeSim's translator small enough for a CPU, and a feature network that needs no download: random
# weights. Pictures of 128 pixels want shallower layers.
_base_ = './fsesim_resnet.py'
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
        layers=('relu2_2', 'relu3_1'),
        feature_net=dict(pretrained=None, seed=0, width=0.5),
    ),
    ema=dict(momentum=0.005),
)
