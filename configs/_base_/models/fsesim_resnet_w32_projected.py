# FSeSim's small translator with a projected discriminator beside the PatchGAN.
_base_ = ['./fsesim_resnet_w32.py', './projected.py']

model = dict(more_discriminators=dict(projected=_base_.projected))
