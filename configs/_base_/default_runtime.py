default_scope = 'mmagic'

# One seed for all ranks: the training loop tells them apart.
randomness = dict(seed=2022)

default_hooks = dict(
    # MMagic's own timer knows MMagic's validation loop alone.
    timer=dict(type='mmengine.IterTimerHook'),
    logger=dict(type='LoggerHook', interval=100, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    # Atomic, refuses weights that are not finite, keeps every rank's image buffer. save_best='KEY'
    # keeps the best by a score of val_evaluator too.
    checkpoint=dict(
        type='sesim_mmagic.SafeCheckpointHook',
        interval=10000,
        by_epoch=False,
        max_keep_ckpts=3,
        save_optimizer=True,
    ),
    # Translations of the same few pictures with their self-similarity, for every vis_backend.
    fixed_inputs=dict(type='sesim_mmagic.FixedInputsHook', interval=5000),
    # Translations of a test as PNG files and one page.
    translations=dict(type='sesim_mmagic.SaveTranslationsHook'),
    # results.json and report.html, renewed by every validation and test.
    results=dict(type='sesim_mmagic.ResultsHook'),
)
# Hooks of your own go into custom_hooks; None in the place of one above leaves that one out.
# Checks are no hooks: they are in the models and in the loop, and hold whatever stands here.

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
log_level = 'INFO'
log_processor = dict(type='LogProcessor', by_epoch=False)
load_from = None
resume = False

# Each network in its own DistributedDataParallel; the translators call them through it.
model_wrapper_cfg = dict(
    type='MMSeparateDistributedDataParallel', broadcast_buffers=False, find_unused_parameters=False
)

vis_backends = [dict(type='VisBackend')]
visualizer = dict(type='Visualizer', vis_backends=vis_backends)
