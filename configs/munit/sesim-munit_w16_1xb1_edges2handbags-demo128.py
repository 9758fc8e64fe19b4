_base_ = './munit_w16_1xb1_edges2handbags-demo128.py'

# FSeSim in place of content reconstruction and cycle, on random VGG16 features. An edge map looks
# the same on both sides of its lines and a bag does not: a strong loss in the shallowest layers
# would leave bags empty, all alike.
model = dict(
    content_weight=0.0,
    cycle_weight=0.0,
    structure_loss=dict(
        type='sesim_mmagic.FSeSimLoss',
        layers=('relu2_2', 'relu3_1'),
        num_patches=128,
        normalize=False,
        loss_weight=1.0,
        feature_net=dict(type='sesim_mmagic.VGG16Features', pretrained=None, seed=0, width=0.5),
    ),
)
