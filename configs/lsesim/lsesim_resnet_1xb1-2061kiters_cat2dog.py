_base_ = '../fsesim/fsesim_resnet_1xb1-2061kiters_cat2dog.py'

model = dict(structure_loss=dict(type='sesim_mmagic.LSeSimLoss', patch_size=32))
optim_wrapper = dict(structure_loss=_base_.optim_wrapper.generators)
