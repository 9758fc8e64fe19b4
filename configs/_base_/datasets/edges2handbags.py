_base_ = './unpaired_256_short.py'

data_root = 'data/edges2handbags'
pack = dict(type='sesim_mmagic.PackDomains', A='edge', B='handbag')
train_pipeline = [*_base_.train_pipeline, pack]
test_pipeline = [*_base_.test_pipeline, pack]
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))

# KID of a source's first style chooses the checkpoint; diversity as MUNIT measures it.
domains = dict(target_domain='handbag', source_domain='edge')
metric = dict(type='sesim_mmagic.DistributionScores', **domains)
val_evaluator = [dict(metric, scores=['kid'])]
test_evaluator = [
    metric,
    dict(type='sesim_mmagic.LPIPSDiversity', target_domain='handbag', max_pairs=19),
    dict(type='sesim_mmagic.StructureDistance', **domains),
]
