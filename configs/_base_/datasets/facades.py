# Pictures that show A (left) and B side by side, in the folders train, val and test. Pillow resizes
# as pix2pix does: bicubic with antialiasing.
load = dict(type='sesim_mmagic.LoadPicturePair')
keys = ['img_A', 'img_B']
resize = dict(type='Resize', keys=keys, interpolation='bicubic', backend='pillow')
pack = dict(type='sesim_mmagic.PackDomains', A='photo', B='mask')
train_pipeline = [
    load,
    dict(resize, scale=(286, 286)),
    dict(type='FixedCrop', keys=keys, crop_size=(256, 256)),
    dict(type='Flip', keys=keys, flip_ratio=0.5, direction='horizontal'),
    pack,
]
test_pipeline = [load, dict(resize, scale=(256, 256)), pack]

data_root = 'data/pix2pix/facades'
dataset = dict(type='sesim_mmagic.PairedFolderDataset', data_root=data_root)
train_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(dataset, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(dataset, split='val', pipeline=test_pipeline),
)
test_dataloader = dict(val_dataloader, dataset=dict(dataset, split='test', pipeline=test_pipeline))

val_evaluator = [dict(type='sesim_mmagic.PairedScores', target_domain='photo')]
test_evaluator = val_evaluator
