_base_ = '../fsesim/fsesim_resnet-w24_1xb4-500iters_shapes64.py'

model = dict(structure_loss=None)
