_base_ = './fsesim_stylegan2_1xb16-50kiters_pair.py'

# A half hour on one CPU core: half the widths, smaller crops and batches, a feature network that
# needs no download: random weights, of which shallow layers are the more telling ones.
model = dict(
    generator=dict(base_channels=16, num_blocks=4),
    discriminator=dict(size=64, base_channels=16),
    structure_loss=dict(
        layers=('relu2_2', 'relu3_1'), feature_net=dict(pretrained=None, seed=0, width=0.5)
    ),
    ema=dict(momentum=0.005),
)
optimizer = dict(lr=2e-3)
optim_wrapper = dict(generators=dict(optimizer=optimizer), discriminators=dict(optimizer=optimizer))

train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(crop_size=64, crops_per_zoom=8),
)
random_loss = dict(
    type='sesim_mmagic.FSeSimLoss',
    num_patches=-1,
    distance='cos',
    normalize=True,
    loss_weight=1.0,
    feature_net=dict(type='sesim_mmagic.VGG16Features', pretrained=None, seed=0),
)
val_evaluator = [{**_base_.val_evaluator[0], 'loss': random_loss}, _base_.val_evaluator[1]]
test_evaluator = val_evaluator

max_iters = 4000
train_cfg = dict(max_iters=max_iters, val_interval=1000)
param_scheduler = dict(begin=max_iters // 2, end=max_iters)
default_hooks = dict(
    logger=dict(interval=100), checkpoint=dict(interval=1000), fixed_inputs=dict(interval=500)
)
