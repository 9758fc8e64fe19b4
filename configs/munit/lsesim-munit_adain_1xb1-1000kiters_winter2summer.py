_base_ = './sesim-munit_adain_1xb1-1000kiters_winter2summer.py'

# LSeSim in place of FSeSim: heads with an optimizer of their own, and a view of every picture.
model = dict(structure_loss=dict(type='sesim_mmagic.LSeSimLoss', patch_size=32))
optim_wrapper = dict(structure_loss=_base_.optim_wrapper.generators)
train_pipeline = [
    *_base_.train_pipeline[:-1],
    dict(type='sesim_mmagic.AppearanceView', keys=['img_A', 'img_B']),
    _base_.train_pipeline[-1],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
