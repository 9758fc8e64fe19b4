_base_ = './fsesim_resnet_1xb1-534kiters_horse2zebra.py'

model = dict(source_domain='zebra', target_domain='horse')
