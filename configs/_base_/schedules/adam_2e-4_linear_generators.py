_base_ = './adam_2e-4_linear.py'

# For KaoKore with a projected discriminator: the rate of the generators falls, that of the
# discriminators stays. Where both fell, results were worse (docs/guide/how_long.md).
param_scheduler = dict(
    _delete_=True,
    generators=_base_.param_scheduler,
    discriminators=dict(type='ConstantLR', factor=1, by_epoch=False),
)
