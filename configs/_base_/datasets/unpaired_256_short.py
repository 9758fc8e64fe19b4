# As unpaired_256, cropped as MUNIT does: the shorter side becomes 256 pixels.
_base_ = './unpaired_256.py'
train_pipeline = [
    transform
    for key in ('img_A', 'img_B')
    for transform in (
        dict(type='sesim_mmagic.LoadPicture', key=key),
        dict(
            type='Resize', keys=[key], scale=(65536, 256), keep_ratio=True, interpolation='bicubic'
        ),
        dict(type='sesim_mmagic.CheckSize', keys=[key], min_size=(256, 256)),
        dict(type='Crop', keys=[key], crop_size=(256, 256), random_crop=True),
        dict(type='Flip', keys=[key], flip_ratio=0.5, direction='horizontal'),
    )
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
