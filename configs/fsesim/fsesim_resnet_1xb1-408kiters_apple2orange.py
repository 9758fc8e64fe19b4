_base_ = [
    '../_base_/models/fsesim_resnet.py',
    '../_base_/datasets/unpaired_256.py',
    '../_base_/schedules/adam_1e-4_linear.py',
    '../_base_/default_runtime.py',
]

model = dict(source_domain='apple', target_domain='orange')

data_root = 'data/apple2orange'
pack = dict(type='sesim_mmagic.PackDomains', A='apple', B='orange')
train_pipeline = [*_base_.train_pipeline, pack]
test_pipeline = [*_base_.test_pipeline, pack]
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader

# KID chooses the checkpoint: unlike FID it is not biased by few pictures.
metric = dict(type='sesim_mmagic.DistributionScores', target_domain='orange', source_domain='apple')
val_evaluator = [dict(metric, scores=['kid'])]
test_evaluator = [metric]
default_hooks = dict(checkpoint=dict(save_best='distribution/kid_clean'))

# 200 + 200 passes over 1019 pictures
max_iters = 407600
train_cfg = dict(max_iters=max_iters)
param_scheduler = dict(
    type='LinearLR',
    start_factor=1,
    end_factor=0,
    by_epoch=False,
    begin=max_iters // 2,
    end=max_iters,
)
