_base_ = ['./cut_resnet-w32_1xb1-4kiters_kaokore128.py', '../_base_/models/projected.py']

# Of the weights .15, .5 and 1.5 this one was best on held-out pairs (docs/results.md).
model = dict(
    structure_loss=dict(loss_weight=1.5), more_discriminators=dict(projected=_base_.projected)
)
# As in configs/_base_/schedules/adam_2e-4_linear_generators.py.
param_scheduler = dict(
    _delete_=True,
    generators=_base_.param_scheduler,
    discriminators=dict(type='ConstantLR', factor=1, by_epoch=False),
)
