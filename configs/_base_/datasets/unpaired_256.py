# Folders trainA trainB testA testB; a leaf sets data_root and appends the naming of domains.
# Resize 286, crop 256, flip: drawn independently for A and B.
train_pipeline = [
    transform
    for key in ('img_A', 'img_B')
    for transform in (
        dict(type='sesim_mmagic.LoadPicture', key=key),
        dict(type='Resize', keys=[key], scale=(286, 286), interpolation='bicubic'),
        dict(type='sesim_mmagic.CheckSize', keys=[key], min_size=(256, 256)),
        dict(type='Crop', keys=[key], crop_size=(256, 256), random_crop=True),
        dict(type='Flip', keys=[key], flip_ratio=0.5, direction='horizontal'),
    )
]
# Test pictures keep their aspect ratio; the shorter side becomes 256 pixels.
test_pipeline = [
    transform
    for key in ('img_A', 'img_B')
    for transform in (
        dict(type='sesim_mmagic.LoadPicture', key=key),
        dict(
            type='Resize', keys=[key], scale=(65536, 256), keep_ratio=True, interpolation='bicubic'
        ),
    )
]

train_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='sesim_mmagic.ResumableSampler'),
    dataset=dict(
        type='sesim_mmagic.UnpairedFolderDataset', data_root=None, pipeline=train_pipeline
    ),
)
# One picture a batch: at test time they may differ in size.
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='sesim_mmagic.UnpairedFolderDataset',
        data_root=None,
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
