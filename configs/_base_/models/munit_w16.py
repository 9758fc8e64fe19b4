# MUNIT's networks small enough for a CPU, for pictures of 64 to 128 pixels.
_base_ = './munit.py'
model = dict(
    generator=dict(base_channels=16, num_blocks=2, mlp_channels=64, style_downsamplings=3),
    discriminator=dict(base_channels=16, num_layers=3, num_scales=2),
    num_styles=8,
)
