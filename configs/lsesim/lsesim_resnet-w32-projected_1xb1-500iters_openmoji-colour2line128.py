_base_ = '../fsesim/fsesim_resnet-w32-projected_1xb1-500iters_openmoji-colour2line128.py'

model = dict(structure_loss=dict(type='sesim_mmagic.LSeSimLoss', patch_size=32))
optim_wrapper = dict(structure_loss=_base_.optim_wrapper.generators)
param_scheduler = dict(structure_loss=_base_.param_scheduler.generators)
