# FSeSim's small translator with a projected discriminator beside the PatchGAN. Of the weights 3 and
# 10 of the structure loss this one was better on both data sets (docs/results.md).
_base_ = ['./fsesim_resnet_w32.py', './projected.py']

model = dict(
    structure_loss=dict(loss_weight=10.0), more_discriminators=dict(projected=_base_.projected)
)
