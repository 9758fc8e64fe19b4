_base_ = [
    '../_base_/models/sesim_munit_w16_projected.py',
    '../_base_/datasets/shape-modes64.py',
    '../_base_/schedules/adam_5e-4_linear_1k.py',
    '../_base_/short_runtime.py',
]

# A light ground is to become dark: no BrightnessLoss. Without MUNIT's content reconstruction the
# structure loss lost shapes (weight 3) or looks (5, 10): README, "On packaged features".
model = dict(
    source_domain='flat',
    target_domain='textured',
    more_losses=None,
    content_weight=1.0,
    structure_loss=dict(loss_weight=1.0),
)
