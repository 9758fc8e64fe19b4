# The synthetic shapes, written by tools/dataset_converters/synthetic_shapes.py; B -> A.
load = [dict(type='sesim_mmagic.LoadPicture', key=key) for key in ('img_A', 'img_B')]
flip = [
    dict(type='Flip', keys=[key], flip_ratio=0.5, direction='horizontal')
    for key in ('img_A', 'img_B')
]
pack = dict(type='sesim_mmagic.PackDomains', A='flat', B='textured')
train_pipeline = [load[0], flip[0], load[1], flip[1], pack]
test_pipeline = [*load, pack]
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

val_evaluator = [
    dict(type='sesim_mmagic.SyntheticScores', target_domain='flat', source_domain='textured')
]
test_evaluator = val_evaluator
