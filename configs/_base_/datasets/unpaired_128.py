# Folders trainA trainB testA testB of small pictures; a leaf sets data_root and names the domains.
# 40 pictures of each domain are held out of training, to choose a checkpoint by; with folders valA
# and valB: held_out=0 for both data loaders.
# Resize 143, crop 128, flip: drawn independently for A and B.
train_pipeline = [
    transform
    for key in ('img_A', 'img_B')
    for transform in (
        dict(type='sesim_mmagic.LoadPicture', key=key),
        dict(type='Resize', keys=[key], scale=(143, 143), interpolation='bicubic'),
        dict(type='sesim_mmagic.CheckSize', keys=[key], min_size=(128, 128)),
        dict(type='Crop', keys=[key], crop_size=(128, 128), random_crop=True),
        dict(type='Flip', keys=[key], flip_ratio=0.5, direction='horizontal'),
    )
]
test_pipeline = [
    dict(type='sesim_mmagic.LoadPicture', key='img_A'),
    dict(type='sesim_mmagic.LoadPicture', key='img_B'),
]
train_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='sesim_mmagic.ResumableSampler'),
    dataset=dict(
        type='sesim_mmagic.UnpairedFolderDataset',
        data_root=None,
        split='train',
        held_out=40,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='sesim_mmagic.UnpairedFolderDataset',
        data_root=None,
        split='val',
        held_out=40,
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    val_dataloader, dataset=dict(val_dataloader['dataset'], split='test', held_out=0)
)
