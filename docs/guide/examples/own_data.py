# The path is relative to this file.
_base_ = '../../../configs/fsesim/fsesim_resnet_1xb1-534kiters_horse2zebra.py'

# Pictures of domain A lie in trainA and testA, of domain B in trainB and testB.
data_root = 'data/mine'
source, target = 'cloudy', 'sunny'
pack = dict(type='sesim_mmagic.PackDomains', A=source, B=target)
train_pipeline = [*_base_.train_pipeline[:-1], pack]
test_pipeline = [*_base_.test_pipeline[:-1], pack]
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader

model = dict(source_domain=source, target_domain=target)

# KID of the held-out pictures chooses the checkpoint, the test gives all four scores.
metric = dict(target_domain=target, source_domain=source)
val_evaluator = [dict(_base_.metric, **metric, scores=['kid'])]
test_evaluator = [dict(_base_.metric, **metric)]

# 200 + 200 passes over the larger training folder, here of 1000 pictures.
max_iters = 400_000
train_cfg = dict(max_iters=max_iters)
param_scheduler = dict(begin=max_iters // 2, end=max_iters)
