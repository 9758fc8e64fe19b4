# The other direction.
_base_ = './openmoji.py'

domains = dict(target_domain='line', source_domain='colour')
val_evaluator = [dict(_base_.kid, **domains)]
test_evaluator = [
    dict(type='sesim_mmagic.PairedScores', **domains),
    dict(_base_.kid, **domains),
    dict(_base_.patches, **domains),
]
