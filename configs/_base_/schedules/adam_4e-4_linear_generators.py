_base_ = './adam_2e-4_linear_generators.py'

optimizer = dict(lr=4e-4)
optim_wrapper = dict(generators=dict(optimizer=optimizer), discriminators=dict(optimizer=optimizer))
