_base_ = '../fsesim/fsesim_resnet_1xb1-534kiters_horse2zebra.py'

# CUT's objective: GAN + (NCE(source, translation) + NCE(target, identity)) / 2, no image buffer.
model = dict(
    structure_loss=dict(_delete_=True, type='sesim_mmagic.PatchNCELoss', loss_weight=0.5),
    structure_identity_weight=1.0,
    buffer_size=0,
)
# As in CUT, passes that begin when the learning rate falls resize to the size of the crop.
late_pipeline = [
    *[
        transform
        for key in ('img_A', 'img_B')
        for transform in (
            dict(type='sesim_mmagic.LoadPicture', key=key),
            dict(
                type='Resize',
                keys=[key],
                scale=(256, 256),
                interpolation='bicubic',
                backend='pillow',
            ),
            dict(type='Flip', keys=[key], flip_ratio=0.5, direction='horizontal'),
        )
    ],
    _base_.pack,
]
train_dataloader = dict(
    dataset=dict(late_pipeline=late_pipeline, late_after=_base_.param_scheduler.begin)
)
# CUT's learning rate; PatchNCE's perceptrons train with the generator.
optim_wrapper = dict(
    generators=dict(modules=['generators', 'structure_loss'], optimizer=dict(lr=2e-4)),
    discriminators=dict(modules='discriminators', optimizer=dict(lr=2e-4)),
)
