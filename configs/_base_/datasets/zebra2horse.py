# The other direction.
_base_ = './horse2zebra.py'

metric = dict(type='sesim_mmagic.DistributionScores', target_domain='horse', source_domain='zebra')
val_evaluator = [dict(metric, scores=['kid'])]
test_evaluator = [metric]
