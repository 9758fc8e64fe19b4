# MUNIT's: Adam with weight decay, the rate halved every 100 000 of a million iterations.
_base_ = './adam_1e-4_linear.py'

optimizer = dict(weight_decay=1e-4)
optim_wrapper = dict(generators=dict(optimizer=optimizer), discriminators=dict(optimizer=optimizer))
max_iters = 1_000_000
train_cfg = dict(max_iters=max_iters)
param_scheduler = dict(
    _delete_=True,
    type='StepLR',
    step_size=100_000,
    gamma=0.5,
    by_epoch=False,
    begin=0,
    end=max_iters,
)
