# Folders trainA trainB testA testB; a leaf sets data_root and appends the naming of domains.
#
# 50 pictures of each domain are held out of training, to choose a checkpoint by. With
# pictures of one's own in valA and valB instead: held_out=0 for both data loaders. The paper's
# recipe trains on all pictures (schedules count them all) and picks the best checkpoint on the
# test set; scores of that kind need
#     --cfg-options train_dataloader.dataset.held_out=0 val_dataloader.dataset.held_out=0 \
#         val_dataloader.dataset.split=test
# Resize 286, crop 256, flip: drawn independently for A and B. Pillow resizes as the authors do:
# bicubic with antialiasing, which OpenCV has not.
train_pipeline = [
    transform
    for key in ('img_A', 'img_B')
    for transform in (
        dict(type='sesim_mmagic.LoadPicture', key=key),
        dict(
            type='Resize',
            keys=[key],
            scale=(286, 286),
            interpolation='bicubic',
            backend='pillow',
        ),
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
            type='Resize',
            keys=[key],
            scale=(65536, 256),
            keep_ratio=True,
            interpolation='bicubic',
            backend='pillow',
        ),
    )
]

train_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='sesim_mmagic.ResumableSampler'),
    dataset=dict(
        type='sesim_mmagic.UnpairedFolderDataset',
        data_root=None,
        split='train',
        held_out=50,
        pipeline=train_pipeline,
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
        split='val',
        held_out=50,
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    val_dataloader, dataset=dict(val_dataloader['dataset'], split='test', held_out=0)
)
