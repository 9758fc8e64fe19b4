_base_ = './fsesim_stylegan2_1xb16-50kiters_pair.py'

# SinCUT's networks, a generator without tanh and a discriminator that halves down to 4 pixels, and
# its options: crops of 64 pixels, ngf=10, ndf=8, one down sampling, one patch a crop against
# those of the whole batch, lambda_NCE=4 over two terms, R1 instead of the penalty towards norm 1.
model = dict(
    generator=dict(base_channels=80, num_downsamplings=1, tanh=False),
    discriminator=dict(size=64, base_channels=32, last_size=4),
    structure_loss=dict(
        _delete_=True,
        type='sesim_mmagic.PatchNCELoss',
        layers=(0, 2, 4),
        channels=(3, 160, 160),
        num_patches=1,
        batch_negatives=True,
        loss_weight=2.0,
    ),
    structure_identity_weight=1.0,
    identity_weight=1.0,
    gradient_penalty_weight=0.0,
    r1_weight=1.0,
    size_divisor=2,
)
# PatchNCE's perceptrons train with the generator.
optim_wrapper = dict(
    generators=dict(modules=['generators', 'structure_loss'], optimizer=dict(lr=2e-3)),
    discriminators=dict(modules='discriminators', optimizer=dict(lr=2e-3)),
)
train_dataloader = dict(dataset=dict(crop_size=64))

# 8 + 8 passes over 100 000 crops
max_iters = 100000
train_cfg = dict(max_iters=max_iters)
param_scheduler = dict(begin=max_iters // 2, end=max_iters)
