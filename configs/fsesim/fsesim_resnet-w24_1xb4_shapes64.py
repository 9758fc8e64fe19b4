_base_ = [
    '../_base_/models/fsesim_resnet.py',
    '../_base_/datasets/shapes_64.py',
    '../_base_/schedules/adam_1e-4_linear.py',
    '../_base_/default_runtime.py',
]

# Small enough for a CPU, and a feature network that needs no download: random weights. Shapes of
# 64 pixels want shallow layers; hinge, because it stops the discriminator before it wins outright.
model = dict(
    source_domain='textured',
    target_domain='flat',
    generator=dict(
        base_channels=24, num_blocks=4, init_cfg=dict(type='Normal', layer='Conv2d', std=0.02)
    ),
    discriminator=dict(
        _delete_=True,
        type='PatchDiscriminator',
        in_channels=3,
        base_channels=32,
        num_conv=2,
        norm_cfg=dict(type='IN'),
        init_cfg=dict(type='normal', gain=0.02),
    ),
    gan_loss=dict(gan_type='hinge'),
    structure_loss=dict(
        layers=('relu1_2', 'relu2_2'),
        num_patches=128,
        loss_weight=20.0,
        feature_net=dict(pretrained=None, seed=0, width=0.5),
    ),
    ema=dict(momentum=0.005),
)
optim_wrapper = dict(generators=dict(optimizer=dict(lr=2e-4)))
metric = dict(type='sesim_mmagic.SyntheticScores', target_domain='flat', source_domain='textured')
val_evaluator = [metric]
test_evaluator = [metric]

max_iters = 500
train_cfg = dict(max_iters=max_iters, val_interval=100)
param_scheduler = dict(
    type='LinearLR', start_factor=1, end_factor=0, by_epoch=False, begin=300, end=max_iters
)
default_hooks = dict(
    logger=dict(interval=50),
    # Structure is what a translator loses on this dataset, and longer training is not better.
    checkpoint=dict(interval=100, max_keep_ckpts=10, save_best='synthetic/foreground_iou'),
)
