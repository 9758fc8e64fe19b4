_base_ = [
    '../_base_/models/sesim_pix2pix.py',
    '../_base_/datasets/paired_256.py',
    '../_base_/schedules/adam_1e-4_linear.py',
    '../_base_/default_runtime.py',
]

model = dict(
    default_domain='photo',
    reachable_domains=['photo'],
    related_domains=['photo', 'mask'],
    data_preprocessor=dict(data_keys=['img_photo', 'img_mask']),
)
# Pix2Pix's own learning rate
optim_wrapper = dict(
    generators=dict(optimizer=dict(lr=2e-4)), discriminators=dict(optimizer=dict(lr=2e-4))
)

data_root = 'data/pix2pix/facades'
pack = dict(type='sesim_mmagic.PackDomains', A='photo', B='mask')
train_pipeline = [*_base_.train_pipeline, pack]
test_pipeline = [*_base_.test_pipeline, pack]
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader

metric = dict(type='sesim_mmagic.PairedScores', target_domain='photo')
val_evaluator = [metric]
test_evaluator = [metric]

# MMagic's schedule for this data
max_iters = 80000
train_cfg = dict(max_iters=max_iters)
param_scheduler = dict(
    type='LinearLR',
    start_factor=1,
    end_factor=0,
    by_epoch=False,
    begin=max_iters // 2,
    end=max_iters,
)
