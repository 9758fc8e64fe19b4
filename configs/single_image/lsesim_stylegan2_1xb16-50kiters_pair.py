_base_ = './fsesim_stylegan2_1xb16-50kiters_pair.py'

model = dict(structure_loss=dict(type='sesim_mmagic.LSeSimLoss', patch_size=32))
optim_wrapper = dict(structure_loss=_base_.optim_wrapper.generators)
