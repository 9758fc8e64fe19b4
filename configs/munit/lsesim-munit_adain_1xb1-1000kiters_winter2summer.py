_base_ = './sesim-munit_adain_1xb1-1000kiters_winter2summer.py'

# LSeSim in place of FSeSim: heads with an optimizer of their own.
model = dict(structure_loss=dict(type='sesim_mmagic.LSeSimLoss', patch_size=32))
optim_wrapper = dict(structure_loss=_base_.optim_wrapper.generators)
