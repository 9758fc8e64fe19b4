_base_ = './unpaired_256.py'

data_root = 'data/cityscapes'
pack = dict(type='sesim_mmagic.PackDomains', A='photo', B='label')
train_pipeline = [*_base_.train_pipeline, pack]
test_pipeline = [*_base_.test_pipeline, pack]
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))

# KID chooses the checkpoint: unlike FID it is not biased by few pictures.
metric = dict(type='sesim_mmagic.DistributionScores', target_domain='photo', source_domain='label')
val_evaluator = [dict(metric, scores=['kid'])]
# pixAcc, classAcc and mAP as CUT and the paper: DRN-D-22 trained on Cityscapes, at 256 x 128
# pixels. labels/NAME.png holds Cityscapes' label ids (gtFine) of testB/NAME.
label_ids = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
segmentation = dict(
    type='sesim_mmagic.SegmentationScores',
    target_domain='photo',
    source_domain='label',
    label_folder=f'{data_root}/labels',
    label_map={number: label for label, number in enumerate(label_ids)},
    num_classes=19,
    size=(128, 256),
    segmentor=dict(
        type='sesim_mmagic.NetworkSegmentor',
        network=dict(type='sesim_mmagic.DRN22'),
        pretrained='pretrained/drn_d_22_cityscapes.pth',
        mean=(73.976, 83.661, 73.176),
        std=(46.653, 47.574, 47.041),
    ),
)
test_evaluator = [metric, segmentation]
