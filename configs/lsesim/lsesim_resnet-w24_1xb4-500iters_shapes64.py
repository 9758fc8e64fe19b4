_base_ = '../fsesim/fsesim_resnet-w24_1xb4-500iters_shapes64.py'

# The best of three weights on held-out scenes, as FSeSim's, see ../baselines/README.md.
model = dict(structure_loss=dict(type='sesim_mmagic.LSeSimLoss', patch_size=32, loss_weight=80.0))
optim_wrapper = dict(structure_loss=_base_.optim_wrapper.generators)
