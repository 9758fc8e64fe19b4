# Pictures that show A (left) and B side by side, in the folders train, val and test. Pillow resizes
# as pix2pix does: bicubic with antialiasing.
train_pipeline = [
    dict(type='sesim_mmagic.LoadPicturePair'),
    dict(
        type='Resize',
        keys=['img_A', 'img_B'],
        scale=(286, 286),
        interpolation='bicubic',
        backend='pillow',
    ),
    dict(type='FixedCrop', keys=['img_A', 'img_B'], crop_size=(256, 256)),
    dict(type='Flip', keys=['img_A', 'img_B'], flip_ratio=0.5, direction='horizontal'),
]
test_pipeline = [
    dict(type='sesim_mmagic.LoadPicturePair'),
    dict(
        type='Resize',
        keys=['img_A', 'img_B'],
        scale=(256, 256),
        interpolation='bicubic',
        backend='pillow',
    ),
]
train_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(type='sesim_mmagic.PairedFolderDataset', data_root=None, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='sesim_mmagic.PairedFolderDataset',
        data_root=None,
        split='val',
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(val_dataloader, dataset=dict(val_dataloader['dataset'], split='test'))
