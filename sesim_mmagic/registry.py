"""Child registries of MMagic's: ``type='sesim_mmagic.FSeSimLoss'`` works in any MMagic config.

MMEngine imports ``<scope>.registry`` itself when it meets the type ``<scope>.<name>``; the modules
behind a registry are imported at its first look-up (``locations``). MMEngine walks from a child to
its parents without triggering *their* locations, hence MMagic's location stands first in each
list: with ``default_scope='sesim_mmagic'`` MMagic's own types are found too.
"""

from mmengine.registry import Registry

try:
    import mmagic.registry as host
except ModuleNotFoundError as error:
    if error.name != 'mmcv':
        raise
    raise ImportError(
        'MMagic needs mmcv, and neither mmcv nor mmcv-lite is installed: pip install '
        "'sesim_mmagic[lite]' (no compiled operators, in seconds) or 'sesim_mmagic[full]'"
    ) from error

_SCOPE = 'sesim_mmagic'
_ENGINE = ['mmagic.engine', 'sesim_mmagic.engine']
_MODELS = [
    'mmagic.models',
    'sesim_mmagic.losses',
    'sesim_mmagic.networks',
    'sesim_mmagic.translators',
]
_DATASETS = ['mmagic.datasets', 'sesim_mmagic.datasets']
_TRANSFORMS = ['mmagic.datasets.transforms', 'sesim_mmagic.datasets']
_EVALUATION = ['mmagic.evaluation', 'sesim_mmagic.evaluation']
_VISUALIZATION = ['mmagic.visualization', 'sesim_mmagic.engine']


def _child(parent: Registry, locations: list[str]) -> Registry:
    return Registry(parent.name, parent=parent, scope=_SCOPE, locations=locations)


RUNNERS = _child(host.RUNNERS, _ENGINE)
RUNNER_CONSTRUCTORS = _child(host.RUNNER_CONSTRUCTORS, _ENGINE)
LOOPS = _child(host.LOOPS, _ENGINE)
HOOKS = _child(host.HOOKS, _ENGINE)
LOG_PROCESSORS = _child(host.LOG_PROCESSORS, _ENGINE)
OPTIMIZERS = _child(host.OPTIMIZERS, _ENGINE)
OPTIM_WRAPPERS = _child(host.OPTIM_WRAPPERS, _ENGINE)
OPTIM_WRAPPER_CONSTRUCTORS = _child(host.OPTIM_WRAPPER_CONSTRUCTORS, _ENGINE)
PARAM_SCHEDULERS = _child(host.PARAM_SCHEDULERS, _ENGINE)

DATASETS = _child(host.DATASETS, _DATASETS)
DATA_SAMPLERS = _child(host.DATA_SAMPLERS, _DATASETS)
TRANSFORMS = _child(host.TRANSFORMS, _TRANSFORMS)

MODELS = _child(host.MODELS, _MODELS)
MODEL_WRAPPERS = _child(host.MODEL_WRAPPERS, _MODELS)
WEIGHT_INITIALIZERS = _child(host.WEIGHT_INITIALIZERS, _MODELS)
TASK_UTILS = _child(host.TASK_UTILS, _MODELS)

METRICS = _child(host.METRICS, _EVALUATION)
EVALUATORS = _child(host.EVALUATORS, _EVALUATION)

VISUALIZERS = _child(host.VISUALIZERS, _VISUALIZATION)
VISBACKENDS = _child(host.VISBACKENDS, _VISUALIZATION)

__all__ = [
    'DATASETS',
    'DATA_SAMPLERS',
    'EVALUATORS',
    'HOOKS',
    'LOG_PROCESSORS',
    'LOOPS',
    'METRICS',
    'MODELS',
    'MODEL_WRAPPERS',
    'OPTIMIZERS',
    'OPTIM_WRAPPERS',
    'OPTIM_WRAPPER_CONSTRUCTORS',
    'PARAM_SCHEDULERS',
    'RUNNERS',
    'RUNNER_CONSTRUCTORS',
    'TASK_UTILS',
    'TRANSFORMS',
    'VISBACKENDS',
    'VISUALIZERS',
    'WEIGHT_INITIALIZERS',
]
