# The path is relative to this file.
_base_ = '../../../configs/fsesim/fsesim_resnet-w32-projected_1xb1-4kiters_kaokore128.py'

data_root = 'data/mine'
source, target = 'cloudy', 'sunny'
pack = dict(type='sesim_mmagic.PackDomains', A=source, B=target)
train_pipeline = [*_base_.train_pipeline[:-1], pack]
# The shorter side becomes 128 pixels, about the scale of training.
resize = dict(type='Resize', scale=(65536, 128), keep_ratio=True, interpolation='bicubic')
test_pipeline = [
    *[
        transform
        for key in ('img_A', 'img_B')
        for transform in (
            dict(type='sesim_mmagic.LoadPicture', key=key),
            dict(resize, keys=[key]),
        )
    ],
    pack,
]
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
# KaoKore's test has a truth for each source, yours probably none.
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline, paired=False))

model = dict(source_domain=source, target_domain=target)

# No score chooses a checkpoint: the last one counts. The test scores pictures in features that
# the loss did not see, of random weights: nothing is fetched, and their names end in vgg16_random.
features = dict(
    type='sesim_mmagic.VGG16Features', layers=('relu2_2', 'relu3_1'), pretrained=None, seed=0
)
test_evaluator = [
    dict(
        type='sesim_mmagic.DistributionScores',
        target_domain=target,
        source_domain=source,
        feature_net=dict(type='sesim_mmagic.PooledFeatures', network=features),
    )
]
