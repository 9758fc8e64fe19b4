_base_ = [
    '../_base_/models/fsesim_resnet.py',
    '../_base_/datasets/unpaired_128.py',
    '../_base_/schedules/adam_1e-4_linear.py',
    '../_base_/default_runtime.py',
]

# A half hour on one CPU core, and a feature network that needs no download: random weights.
source, target = 'sketch', 'painting'
model = dict(
    source_domain=source,
    target_domain=target,
    generator=dict(
        base_channels=32, num_blocks=4, init_cfg=dict(type='Normal', layer='Conv2d', std=0.02)
    ),
    discriminator=dict(
        _delete_=True,
        type='PatchDiscriminator',
        in_channels=3,
        base_channels=32,
        num_conv=3,
        norm_cfg=dict(type='IN'),
        init_cfg=dict(type='normal', gain=0.02),
    ),
    structure_loss=dict(
        layers=('relu2_2', 'relu3_1'),
        feature_net=dict(pretrained=None, seed=0, width=0.5),
    ),
    ema=dict(momentum=0.005),
)
optim_wrapper = dict(
    generators=dict(optimizer=dict(lr=2e-4)), discriminators=dict(optimizer=dict(lr=2e-4))
)

data_root = 'data/kaokore_sketch'
pack = dict(type='sesim_mmagic.PackDomains', A=source, B=target)
train_pipeline = [*_base_.train_pipeline, pack]
test_pipeline = [*_base_.test_pipeline, pack]
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline, paired=True))

# Sketches and paintings to train on, of which 40 each are held out, show different scenes: only
# the test has a truth.
test_evaluator = [
    dict(type='sesim_mmagic.PairedScores', target_domain=target, source_domain=source)
]

max_iters = 4000
train_cfg = dict(max_iters=max_iters, val_interval=1000)
param_scheduler = dict(
    type='LinearLR',
    start_factor=1,
    end_factor=0,
    by_epoch=False,
    begin=max_iters // 2,
    end=max_iters,
)
default_hooks = dict(checkpoint=dict(interval=1000))
