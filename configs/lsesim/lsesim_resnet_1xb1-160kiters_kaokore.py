_base_ = '../fsesim/fsesim_resnet_1xb1-160kiters_kaokore.py'

model = dict(structure_loss=dict(type='sesim_mmagic.LSeSimLoss', patch_size=32))
optim_wrapper = dict(structure_loss=_base_.optim_wrapper.generators)
train_pipeline = [
    *_base_.train_pipeline[:-1],
    # Sketches are grey: the jitter alone would hardly change them.
    dict(type='sesim_mmagic.AppearanceView', keys=['img_A', 'img_B'], colour_map=0.5),
    _base_.train_pipeline[-1],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
