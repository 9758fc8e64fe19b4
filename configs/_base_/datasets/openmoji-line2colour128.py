_base_ = './openmoji.py'

domains = dict(target_domain='colour', source_domain='line')
colouring = dict(type='sesim_mmagic.ColouringScores', **domains)
# The colours of a truth are one choice of many: read PSNR and patches with that in mind.
val_evaluator = [colouring]
test_evaluator = [
    dict(type='sesim_mmagic.PairedScores', **domains),
    colouring,
    dict(_base_.kid, **domains),
    dict(_base_.patches, **domains),
]
