_base_ = './munit_1xb1-1000kiters_edges2handbags.py'

# FSeSim in place of content reconstruction and cycle.
model = dict(
    content_weight=0.0,
    cycle_weight=0.0,
    structure_loss=dict(
        type='sesim_mmagic.FSeSimLoss',
        normalize=False,
        feature_net=dict(type='sesim_mmagic.VGG16Features', pretrained='torchvision'),
    ),
)
