_base_ = [
    '../_base_/models/munit.py',
    '../_base_/datasets/unpaired_256_short.py',
    '../_base_/schedules/adam_1e-4_munit.py',
    '../_base_/default_runtime.py',
]

source, target = 'edge', 'handbag'
model = dict(source_domain=source, target_domain=target, cycle_weight=0.0, num_styles=10)

data_root = 'data/edges2handbags'
pack = dict(type='sesim_mmagic.PackDomains', A=source, B=target)
train_pipeline = [*_base_.train_pipeline, pack]
test_pipeline = [*_base_.test_pipeline, pack]
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader

# KID of a source's first style chooses the checkpoint; diversity as MUNIT measures it.
domains = dict(target_domain=target, source_domain=source)
metric = dict(type='sesim_mmagic.DistributionScores', **domains)
val_evaluator = [dict(metric, scores=['kid'])]
test_evaluator = [
    metric,
    dict(type='sesim_mmagic.LPIPSDiversity', target_domain=target, max_pairs=19),
    dict(type='sesim_mmagic.StructureDistance', **domains),
]
default_hooks = dict(checkpoint=dict(save_best='distribution/kid_clean'))
train_cfg = dict(max_iters=_base_.max_iters)
