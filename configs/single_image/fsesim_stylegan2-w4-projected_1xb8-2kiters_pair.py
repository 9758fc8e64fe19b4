_base_ = [
    './fsesim_stylegan2-w4_1xb8-4kiters_pair.py',
    '../_base_/models/packaged.py',
    '../_base_/models/projected.py',
]

model = dict(
    structure_loss=dict(
        layers=('blocks.0', 'blocks.1', 'blocks.2'),
        loss_weight=3.0,
        feature_net=dict(_delete_=True, **_base_.packaged),
    ),
    more_discriminators=dict(projected=_base_.projected),
    more_losses=dict(brightness=dict(type='sesim_mmagic.BrightnessLoss')),
)

max_iters = 1600
train_cfg = dict(max_iters=max_iters, val_interval=400)
param_scheduler = dict(begin=max_iters // 2, end=max_iters)
default_hooks = dict(checkpoint=dict(interval=400), fixed_inputs=dict(interval=400))
