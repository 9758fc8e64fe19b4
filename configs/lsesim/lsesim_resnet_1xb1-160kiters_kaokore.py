_base_ = '../fsesim/fsesim_resnet_1xb1-160kiters_kaokore.py'

# Sketches are grey: the jitter of views alone would hardly change them.
model = dict(structure_loss=dict(type='sesim_mmagic.LSeSimLoss', patch_size=32, colour_map=0.5))
optim_wrapper = dict(structure_loss=_base_.optim_wrapper.generators)
