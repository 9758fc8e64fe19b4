# A short training of small networks: 1000 iterations, the second half with a falling rate.
_base_ = './adam_1e-4_linear.py'

optimizer = dict(lr=5e-4, weight_decay=1e-4)
optim_wrapper = dict(generators=dict(optimizer=optimizer), discriminators=dict(optimizer=optimizer))
max_iters = 1000
train_cfg = dict(max_iters=max_iters, val_interval=250)
param_scheduler = dict(begin=max_iters // 2, end=max_iters)
