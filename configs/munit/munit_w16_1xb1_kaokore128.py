_base_ = [
    '../_base_/models/munit_w16.py',
    '../_base_/datasets/unpaired_128.py',
    '../_base_/schedules/adam_5e-4_short.py',
]

source, target = 'sketch', 'painting'
model = dict(source_domain=source, target_domain=target, cycle_weight=10.0)

data_root = 'data/kaokore_sketch'
pack = dict(type='sesim_mmagic.PackDomains', A=source, B=target)
train_pipeline = [*_base_.train_pipeline, pack]
test_pipeline = [*_base_.test_pipeline, pack]
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline, paired=True))

# Random features: nothing to download, and scores to compare with each other alone.
domains = dict(target_domain=target, source_domain=source)
lpips = dict(net='alex', pretrained=None, seed=0)
feature_net = dict(type='sesim_mmagic.VGG16Features', pretrained=None, seed=0, width=0.5)
structure = dict(
    type='sesim_mmagic.FSeSimLoss',
    num_patches=-1,
    distance='cos',
    loss_weight=1.0,
    feature_net=feature_net,
)
val_evaluator = [
    dict(type='sesim_mmagic.LPIPSDiversity', target_domain=target, lpips=lpips),
    dict(type='sesim_mmagic.StructureDistance', **domains, loss=structure),
]
# The test alone has pairs: the first translation beside the truth.
test_evaluator = [*val_evaluator, dict(type='sesim_mmagic.PairedScores', **domains)]
