# OpenMoji's drawings, written by tools/dataset_converters/openmoji.py at the size of the training:
# neither resized nor cropped, lines stay as sharp as in the test. The direction's file has scores.
load = [dict(type='sesim_mmagic.LoadPicture', key=key) for key in ('img_A', 'img_B')]
flip = [
    dict(type='Flip', keys=[key], flip_ratio=0.5, direction='horizontal')
    for key in ('img_A', 'img_B')
]
pack = dict(type='sesim_mmagic.PackDomains', A='line', B='colour')
data_root = 'data/openmoji128'
train_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='sesim_mmagic.ResumableSampler'),
    dataset=dict(
        type='sesim_mmagic.UnpairedFolderDataset',
        data_root=data_root,
        pipeline=[load[0], flip[0], load[1], flip[1], pack],
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='sesim_mmagic.UnpairedFolderDataset',
        data_root=data_root,
        split='val',
        pipeline=[*load, pack],
    ),
)
# Training and validation show different drawings in A and B; only the test has a truth.
test_dataloader = dict(
    val_dataloader, dataset=dict(val_dataloader['dataset'], split='test', paired=True)
)

# Of weights that a package ships, so that nothing is downloaded. A training with the same network
# in its losses scores too well.
features = dict(
    type='sesim_mmagic.TimmFeatures',
    model='tf_efficientnet_lite0',
    layers=('blocks.2', 'blocks.4', 'blocks.6'),
    pretrained='package',
    rms=(7.4, 6.6, 2.8),
)
kid = dict(
    type='sesim_mmagic.DistributionScores',
    feature_net=dict(type='sesim_mmagic.PooledFeatures', network=features),
    scores=['kid'],
)
patches = dict(type='sesim_mmagic.PatchDistance', num_patches=4096, num_directions=64)
