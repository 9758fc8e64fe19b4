_base_ = './fsesim_resnet-w32-projected_1xb1-4kiters_kaokore128.py'

# The discriminators' rate stays: where it fell too, one of two runs lost its colours in the last
# thousand steps (docs/guide/how_long.md).
max_iters = 6000
train_cfg = dict(max_iters=max_iters)
param_scheduler = dict(
    _delete_=True,
    generators=dict(
        type='LinearLR',
        start_factor=1,
        end_factor=0,
        by_epoch=False,
        begin=max_iters // 2,
        end=max_iters,
    ),
    discriminators=dict(type='ConstantLR', factor=1, by_epoch=False),
)
