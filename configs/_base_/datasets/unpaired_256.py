# Folders trainA trainB testA testB of pictures in any size. A data set sets data_root, names its
# domains at the end of the pipelines, and says how translations are scored.
#
# 50 pictures of each domain are held out of training, to choose a checkpoint by. With
# pictures of one's own in valA and valB instead: held_out=0 for both data loaders. The paper's
# recipe trains on all pictures (schedules count them all) and picks the best checkpoint on the
# test set; scores of that kind need
#     --cfg-options train_dataloader.dataset.held_out=0 val_dataloader.dataset.held_out=0 \
#         val_dataloader.dataset.split=test
# Resize 286, crop 256, flip: drawn independently for A and B. Pillow resizes as the authors do:
# bicubic with antialiasing, which OpenCV has not.
resize = dict(type='Resize', interpolation='bicubic', backend='pillow')
train_pipeline = [
    transform
    for key in ('img_A', 'img_B')
    for transform in (
        dict(type='sesim_mmagic.LoadPicture', key=key),
        dict(resize, keys=[key], scale=(286, 286)),
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
        dict(resize, keys=[key], scale=(65536, 256), keep_ratio=True),
    )
]

train_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='sesim_mmagic.ResumableSampler'),
    dataset=dict(type='sesim_mmagic.UnpairedFolderDataset', split='train', held_out=50),
)
# One picture a batch: at test time they may differ in size.
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='sesim_mmagic.UnpairedFolderDataset', split='val', held_out=50),
)
test_dataloader = dict(
    val_dataloader, dataset=dict(val_dataloader['dataset'], split='test', held_out=0)
)
