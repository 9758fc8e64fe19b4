_base_ = './unpaired_256.py'

data_root = 'data/apple2orange'
pack = dict(type='sesim_mmagic.PackDomains', A='apple', B='orange')
train_pipeline = [*_base_.train_pipeline, pack]
test_pipeline = [*_base_.test_pipeline, pack]
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))

# KID chooses the checkpoint: unlike FID it is not biased by few pictures.
metric = dict(type='sesim_mmagic.DistributionScores', target_domain='orange', source_domain='apple')
val_evaluator = [dict(metric, scores=['kid'])]
test_evaluator = [metric]
