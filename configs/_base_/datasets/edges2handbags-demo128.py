# So few pictures that only 2 of each domain are held out; test pictures are brought to the size of
# training.
_base_ = './unpaired_128.py'

data_root = 'data/edges2handbags_demo'
pack = dict(type='sesim_mmagic.PackDomains', A='edge', B='handbag')
train_pipeline = [*_base_.train_pipeline, pack]
test_pipeline = [
    *[
        transform
        for load in _base_.test_pipeline
        for transform in (
            load,
            dict(
                type='Resize',
                keys=[load.key],
                scale=(65536, 128),
                keep_ratio=True,
                interpolation='bicubic',
            ),
        )
    ],
    pack,
]
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline, held_out=2))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline, held_out=2))
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline, paired=True))

domains = dict(target_domain='handbag', source_domain='edge')
val_evaluator = [
    dict(type='sesim_mmagic.LPIPSDiversity', target_domain='handbag', lpips=_base_.random_lpips),
    dict(type='sesim_mmagic.StructureDistance', **domains, loss=_base_.random_structure),
]
# The test alone has pairs: the first translation beside the truth.
test_evaluator = [*val_evaluator, dict(type='sesim_mmagic.PairedScores', **domains)]
