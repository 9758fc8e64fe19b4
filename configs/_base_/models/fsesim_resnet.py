# Single-modal FSeSim of the paper; a config sets source_domain and target_domain.
model = dict(
    type='sesim_mmagic.OneSidedTranslator',
    data_preprocessor=dict(type='DataPreprocessor'),
    generator=dict(type='sesim_mmagic.ResNetBlurGenerator', base_channels=64, num_blocks=9),
    discriminator=dict(type='sesim_mmagic.BlurPatchGAN', base_channels=64, num_layers=3),
    gan_loss=dict(type='GANLoss', gan_type='lsgan'),
    # Raw maps, as the authors' training scripts; patch size 64 in fixed mode.
    structure_loss=dict(
        type='sesim_mmagic.FSeSimLoss',
        layers=('relu3_1', 'relu4_1', 'relu4_3'),
        num_patches=256,
        patch_size=64,
        distance='cos',
        normalize=False,
        loss_weight=10.0,
        feature_net=dict(type='sesim_mmagic.VGG16Features', pretrained='torchvision'),
    ),
    buffer_size=50,
)
