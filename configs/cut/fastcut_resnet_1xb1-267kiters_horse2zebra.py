_base_ = './cut_resnet_1xb1-534kiters_horse2zebra.py'

model = dict(
    structure_loss=dict(loss_weight=10.0), structure_identity_weight=0.0, flip_equivariance=True
)

# 150 + 50 passes over 1334 pictures
max_iters = 266800
train_cfg = dict(max_iters=max_iters)
param_scheduler = dict(begin=200100, end=max_iters)
train_dataloader = dict(dataset=dict(late_after=200100))
