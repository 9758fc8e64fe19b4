# StyleGAN2's networks: a faster rate, no first momentum.
_base_ = './adam_1e-4_linear.py'

optimizer = dict(lr=1e-3, betas=(0.0, 0.99))
optim_wrapper = dict(generators=dict(optimizer=optimizer), discriminators=dict(optimizer=optimizer))
