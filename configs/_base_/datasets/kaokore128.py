_base_ = './unpaired_128.py'

data_root = 'data/kaokore_sketch'
pack = dict(type='sesim_mmagic.PackDomains', A='sketch', B='painting')
train_pipeline = [*_base_.train_pipeline, pack]
test_pipeline = [*_base_.test_pipeline, pack]
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline, paired=True))

# Sketches and paintings to train on show different scenes: only the test has a truth.
paired_scores = dict(
    type='sesim_mmagic.PairedScores', target_domain='painting', source_domain='sketch'
)
val_evaluator = []
test_evaluator = [paired_scores]
