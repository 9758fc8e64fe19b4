"""Child registries of MMagic's: ``type='sesim_mmagic.FSeSimLoss'`` works in any MMagic config.

MMEngine imports ``<scope>.registry`` itself when it meets the type ``<scope>.<name>``; the modules
behind a registry are imported at its first look-up (``locations``). MMEngine walks from a child to
its parents without triggering *their* locations, hence MMagic's location stands first in each
list: with ``default_scope='sesim_mmagic'`` MMagic's own types are found too.

Losses and networks need no more than MMEngine: where MMagic is not installed they are built all the
same, for a training loop of one's own. The registries are then children of MMEngine's.
"""

from typing import Any

from mmengine.model import is_model_wrapper
from mmengine.registry import Registry

_SCOPE = 'sesim_mmagic'
_METHOD = ['sesim_mmagic.losses', 'sesim_mmagic.networks']
try:
    from mmagic import registry as host

    _MODELS = ['mmagic.models', *_METHOD, 'sesim_mmagic.translators']
except ModuleNotFoundError as error:
    if error.name == 'mmcv':
        raise ImportError(
            'MMagic needs mmcv, and neither mmcv nor mmcv-lite is installed: pip install '
            "'sesim_mmagic[lite]' (no compiled operators, in seconds) or 'sesim_mmagic[full]'"
        ) from error
    if error.name != 'mmagic':
        raise
    from mmengine import registry as host

    _MODELS = _METHOD
_ENGINE = ['mmagic.engine', 'sesim_mmagic.engine']
_DATASETS = ['mmagic.datasets', 'sesim_mmagic.datasets']
_TRANSFORMS = ['mmagic.datasets.transforms', 'sesim_mmagic.datasets']
_EVALUATION = ['mmagic.evaluation', 'sesim_mmagic.evaluation']
_VISUALIZATION = ['mmagic.visualization', 'sesim_mmagic.engine']


def _child(name: str, locations: list[str]) -> Registry:
    parent = getattr(host, name if hasattr(host, name) else 'EVALUATOR')  # MMEngine's name
    return Registry(parent.name, parent=parent, scope=_SCOPE, locations=locations)


RUNNERS = _child('RUNNERS', _ENGINE)
RUNNER_CONSTRUCTORS = _child('RUNNER_CONSTRUCTORS', _ENGINE)
LOOPS = _child('LOOPS', _ENGINE)
HOOKS = _child('HOOKS', _ENGINE)
LOG_PROCESSORS = _child('LOG_PROCESSORS', _ENGINE)
OPTIMIZERS = _child('OPTIMIZERS', _ENGINE)
OPTIM_WRAPPERS = _child('OPTIM_WRAPPERS', _ENGINE)
OPTIM_WRAPPER_CONSTRUCTORS = _child('OPTIM_WRAPPER_CONSTRUCTORS', _ENGINE)
PARAM_SCHEDULERS = _child('PARAM_SCHEDULERS', _ENGINE)

DATASETS = _child('DATASETS', _DATASETS)
DATA_SAMPLERS = _child('DATA_SAMPLERS', _DATASETS)
TRANSFORMS = _child('TRANSFORMS', _TRANSFORMS)

MODELS = _child('MODELS', _MODELS)
MODEL_WRAPPERS = _child('MODEL_WRAPPERS', _MODELS)
WEIGHT_INITIALIZERS = _child('WEIGHT_INITIALIZERS', _MODELS)
TASK_UTILS = _child('TASK_UTILS', _MODELS)

METRICS = _child('METRICS', _EVALUATION)
EVALUATORS = _child('EVALUATORS', _EVALUATION)

VISUALIZERS = _child('VISUALIZERS', _VISUALIZATION)
VISBACKENDS = _child('VISBACKENDS', _VISUALIZATION)


def unwrapped(module: Any) -> Any:
    """The module inside a wrapper of ``MODEL_WRAPPERS``, for distributed training, or itself."""
    return module.module if is_model_wrapper(module) else module
