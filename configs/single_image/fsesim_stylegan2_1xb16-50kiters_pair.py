_base_ = [
    '../_base_/models/fsesim_single_image.py',
    '../_base_/datasets/single_image_128.py',
    '../_base_/schedules/adam_1e-4_linear.py',
    '../_base_/default_runtime.py',
]

# The two pictures: train_dataloader.dataset.A and .B, the same in val_dataloader and
# test_dataloader; tools/translate_single.py sets them.
source, target = 'source', 'look'
model = dict(source_domain=source, target_domain=target)
optimizer = dict(lr=1e-3, betas=(0.0, 0.99))
optim_wrapper = dict(generators=dict(optimizer=optimizer), discriminators=dict(optimizer=optimizer))

pack = [dict(type='sesim_mmagic.PackDomains', A=source, B=target)]
train_dataloader = dict(dataset=dict(pipeline=pack))
val_dataloader = dict(dataset=dict(pipeline=pack))
test_dataloader = val_dataloader

# Structure of the source, patches of the other picture. There is nothing to hold out, so no score
# chooses a checkpoint.
val_evaluator = [
    dict(
        type='sesim_mmagic.StructureDistance',
        target_domain=target,
        source_domain=source,
        tile_size=256,
    ),
    dict(type='sesim_mmagic.PatchDistance', target_domain=target),
]
test_evaluator = val_evaluator

# 4 + 4 passes over 100 000 crops
max_iters = 50000
train_cfg = dict(max_iters=max_iters, val_interval=10000)
param_scheduler = dict(
    type='LinearLR',
    start_factor=1,
    end_factor=0,
    by_epoch=False,
    begin=max_iters // 2,
    end=max_iters,
)
default_hooks = dict(
    fixed_inputs=dict(interval=2500),
    # The translation at every validation: how it came about.
    translations=dict(validations=True),
)
