# MMagic's CycleGAN with a structure loss in both directions; a config sets the domains.
model = dict(
    type='sesim_mmagic.SeSimCycleGAN',
    data_preprocessor=dict(type='DataPreprocessor'),
    generator=dict(
        type='ResnetGenerator',
        in_channels=3,
        out_channels=3,
        base_channels=64,
        norm_cfg=dict(type='IN'),
        use_dropout=False,
        num_blocks=9,
        padding_mode='reflect',
        init_cfg=dict(type='normal', gain=0.02),
    ),
    discriminator=dict(
        type='PatchDiscriminator',
        in_channels=3,
        base_channels=64,
        num_conv=3,
        norm_cfg=dict(type='IN'),
        init_cfg=dict(type='normal', gain=0.02),
    ),
    loss_config=dict(cycle_loss_weight=10.0, id_loss_weight=0.5),
    structure_loss=dict(
        type='sesim_mmagic.FSeSimLoss',
        normalize=False,
        feature_net=dict(type='sesim_mmagic.VGG16Features', pretrained='torchvision'),
    ),
)
