# Adam; a config sets the iterations, and where the rate begins to fall linearly to 0.
optim_wrapper = dict(
    constructor='MultiOptimWrapperConstructor',
    generators=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.5, 0.999))),
    discriminators=dict(
        type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.5, 0.999))
    ),
)
param_scheduler = dict(type='LinearLR', start_factor=1, end_factor=0, by_epoch=False)

train_cfg = dict(type='sesim_mmagic.ResumableIterTrainLoop', val_interval=10000)
# MMEngine's loops translate every picture once. MMagic's own metrics need its own loops:
# val_cfg = dict(type='MultiValLoop'), val_evaluator = dict(type='Evaluator', metrics=...).
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
