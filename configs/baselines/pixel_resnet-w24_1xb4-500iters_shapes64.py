_base_ = '../fsesim/fsesim_resnet-w24_1xb4-500iters_shapes64.py'

# The best of three weights on held-out scenes, see README.md.
model = dict(structure_loss=dict(_delete_=True, type='sesim_mmagic.PixelLoss', loss_weight=0.5))
