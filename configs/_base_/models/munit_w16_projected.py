# MUNIT's small networks with a projected discriminator beside the PatchGAN.
_base_ = ['./munit_w16.py', './projected.py']

model = dict(more_discriminators=dict(projected=_base_.projected))
