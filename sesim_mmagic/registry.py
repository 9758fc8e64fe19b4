"""Child registries of MMagic's: ``type='sesim_mmagic.FSeSimLoss'`` works in any MMagic config.

MMEngine imports ``<scope>.registry`` itself when it meets the type ``<scope>.<name>``; the modules
behind a registry are imported at its first look-up (``locations``). MMEngine walks from a child to
its parents without triggering *their* locations, hence MMagic's location stands first in each
list: with ``default_scope='sesim_mmagic'`` MMagic's own types are found too.
"""

from typing import Any

from mmengine.model import is_model_wrapper
from mmengine.registry import Registry

try:
    import mmagic.registry as mmagic_registry
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


RUNNERS = _child(mmagic_registry.RUNNERS, _ENGINE)
RUNNER_CONSTRUCTORS = _child(mmagic_registry.RUNNER_CONSTRUCTORS, _ENGINE)
LOOPS = _child(mmagic_registry.LOOPS, _ENGINE)
HOOKS = _child(mmagic_registry.HOOKS, _ENGINE)
LOG_PROCESSORS = _child(mmagic_registry.LOG_PROCESSORS, _ENGINE)
OPTIMIZERS = _child(mmagic_registry.OPTIMIZERS, _ENGINE)
OPTIM_WRAPPERS = _child(mmagic_registry.OPTIM_WRAPPERS, _ENGINE)
OPTIM_WRAPPER_CONSTRUCTORS = _child(mmagic_registry.OPTIM_WRAPPER_CONSTRUCTORS, _ENGINE)
PARAM_SCHEDULERS = _child(mmagic_registry.PARAM_SCHEDULERS, _ENGINE)

DATASETS = _child(mmagic_registry.DATASETS, _DATASETS)
DATA_SAMPLERS = _child(mmagic_registry.DATA_SAMPLERS, _DATASETS)
TRANSFORMS = _child(mmagic_registry.TRANSFORMS, _TRANSFORMS)

MODELS = _child(mmagic_registry.MODELS, _MODELS)
MODEL_WRAPPERS = _child(mmagic_registry.MODEL_WRAPPERS, _MODELS)
WEIGHT_INITIALIZERS = _child(mmagic_registry.WEIGHT_INITIALIZERS, _MODELS)
TASK_UTILS = _child(mmagic_registry.TASK_UTILS, _MODELS)

METRICS = _child(mmagic_registry.METRICS, _EVALUATION)
EVALUATORS = _child(mmagic_registry.EVALUATORS, _EVALUATION)

VISUALIZERS = _child(mmagic_registry.VISUALIZERS, _VISUALIZATION)
VISBACKENDS = _child(mmagic_registry.VISBACKENDS, _VISUALIZATION)


def unwrapped(module: Any) -> Any:
    """The module inside a wrapper of ``MODEL_WRAPPERS``, for distributed training, or itself."""
    return module.module if is_model_wrapper(module) else module
