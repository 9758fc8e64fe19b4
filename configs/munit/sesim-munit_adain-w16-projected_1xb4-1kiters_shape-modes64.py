_base_ = [
    '../_base_/models/sesim_munit_w16_projected.py',
    '../_base_/datasets/shape-modes64.py',
    '../_base_/schedules/adam_5e-4_linear_1k.py',
    '../_base_/short_runtime.py',
]

# A light ground is to become dark: no BrightnessLoss. The structure loss is too weak here to keep
# shapes (README, "On packaged features, with a projected discriminator").
model = dict(source_domain='flat', target_domain='textured', more_losses=None)
