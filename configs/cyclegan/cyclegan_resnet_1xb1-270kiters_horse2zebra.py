_base_ = './cyclegan-fsesim_resnet_1xb1-270kiters_horse2zebra.py'

model = dict(structure_loss=None)
