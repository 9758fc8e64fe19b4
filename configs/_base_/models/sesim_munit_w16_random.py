# FSeSim in place of content reconstruction and cycle, on random VGG16 features, for the synthetic
# shapes.
_base_ = './munit_w16.py'
model = dict(
    content_weight=0.0,
    cycle_weight=0.0,
    structure_loss=dict(
        type='sesim_mmagic.FSeSimLoss',
        layers=('relu1_2', 'relu2_2'),
        num_patches=128,
        normalize=False,
        feature_net=dict(type='sesim_mmagic.VGG16Features', pretrained=None, seed=0, width=0.5),
    ),
)
