# For trainings of a thousand iterations: checkpoints, pictures and losses more often.
_base_ = './default_runtime.py'

default_hooks = dict(
    logger=dict(interval=50), checkpoint=dict(interval=250), fixed_inputs=dict(interval=250)
)
