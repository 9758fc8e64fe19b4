_base_ = './adam_2e-4_linear.py'

# Beside a projected discriminator the rate of the generators falls, that of the discriminators
# stays: where both fell, trainings lost their colours at the end (docs/guide/how_long.md).
param_scheduler = dict(
    _delete_=True,
    generators=_base_.param_scheduler,
    discriminators=dict(type='ConstantLR', factor=1, by_epoch=False),
)
