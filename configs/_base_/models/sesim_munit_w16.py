# FSeSim in place of content reconstruction and cycle, on packaged features.
_base_ = ['./munit_w16.py', './packaged.py']

model = dict(
    content_weight=0.0,
    cycle_weight=0.0,
    structure_loss=dict(
        type='sesim_mmagic.FSeSimLoss',
        layers=('blocks.0', 'blocks.1', 'blocks.2'),
        num_patches=128,
        normalize=False,
        loss_weight=3.0,
        feature_net=_base_.packaged,
    ),
    # Without it a training on line drawings painted light lines on a dark ground.
    more_losses=dict(brightness=dict(type='sesim_mmagic.BrightnessLoss')),
)
