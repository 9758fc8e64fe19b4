# FSeSim's small translator with a projected discriminator beside the PatchGAN. A structure loss of
# weight 10 was better than one of 3, sketch to painting and line to colour (docs/results.md).
_base_ = ['./fsesim_resnet_w32.py', './projected.py']

model = dict(
    structure_loss=dict(loss_weight=10.0), more_discriminators=dict(projected=_base_.projected)
)
