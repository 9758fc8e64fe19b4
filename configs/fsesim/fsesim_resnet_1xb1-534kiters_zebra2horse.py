_base_ = './fsesim_resnet_1xb1-534kiters_horse2zebra.py'

model = dict(source_domain='zebra', target_domain='horse')
metric = dict(source_domain='zebra', target_domain='horse')
val_evaluator = [dict(_base_.metric, **metric, scores=['kid'])]
test_evaluator = [dict(_base_.metric, **metric)]
