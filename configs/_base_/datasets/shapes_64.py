# The synthetic shapes, written by tools/dataset_converters/synthetic_shapes.py; B -> A.
pack = dict(type='sesim_mmagic.PackDomains', A='flat', B='textured')
train_pipeline = [
    *[
        transform
        for key in ('img_A', 'img_B')
        for transform in (
            dict(type='sesim_mmagic.LoadPicture', key=key),
            dict(type='Flip', keys=[key], flip_ratio=0.5, direction='horizontal'),
        )
    ],
    pack,
]
test_pipeline = [
    dict(type='sesim_mmagic.LoadPicture', key='img_A'),
    dict(type='sesim_mmagic.LoadPicture', key='img_B'),
    pack,
]
data_root = 'data/shapes_mismatch'
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='sesim_mmagic.ResumableSampler'),
    dataset=dict(
        type='sesim_mmagic.UnpairedFolderDataset', data_root=data_root, pipeline=train_pipeline
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='sesim_mmagic.UnpairedFolderDataset',
        data_root=data_root,
        split='val',
        paired=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(val_dataloader, dataset=dict(val_dataloader['dataset'], split='test'))
