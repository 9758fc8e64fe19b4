_base_ = './cyclegan_resnet-w24_1xb4-500iters_shapes64.py'

# The structure loss of the FSeSim config, in both directions.
model = dict(
    structure_loss=dict(
        type='sesim_mmagic.FSeSimLoss',
        layers=('relu1_2', 'relu2_2'),
        num_patches=128,
        patch_size=64,
        normalize=False,
        loss_weight=20.0,
        feature_net=dict(type='sesim_mmagic.VGG16Features', pretrained=None, seed=0, width=0.5),
    )
)
