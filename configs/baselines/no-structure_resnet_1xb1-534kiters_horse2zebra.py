_base_ = '../fsesim/fsesim_resnet_1xb1-534kiters_horse2zebra.py'

model = dict(structure_loss=None)
