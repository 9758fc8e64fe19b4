# FSeSim in place of MUNIT's content reconstruction and cycle.
_base_ = './munit.py'
model = dict(
    content_weight=0.0,
    cycle_weight=0.0,
    structure_loss=dict(
        type='sesim_mmagic.FSeSimLoss',
        normalize=False,
        feature_net=dict(type='sesim_mmagic.VGG16Features', pretrained='torchvision'),
    ),
)
