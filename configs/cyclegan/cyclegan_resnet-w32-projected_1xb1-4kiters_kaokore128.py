_base_ = './cyclegan-fsesim_resnet-w32-projected_1xb1-4kiters_kaokore128.py'

model = dict(structure_loss=None)
