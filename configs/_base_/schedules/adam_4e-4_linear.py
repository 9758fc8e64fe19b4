_base_ = './adam_1e-4_linear.py'

optimizer = dict(lr=4e-4)
optim_wrapper = dict(generators=dict(optimizer=optimizer), discriminators=dict(optimizer=optimizer))
