"""Train, test, translate, export and release from Python or the command line.

Names are imported when they are first used: the command-line tools answer ``--help`` and mistakes
without PyTorch.
"""

import importlib

_PLACES = {
    'SeSimInferencer': '.inference.inferencer',
    'evaluate_folder': '.evaluate',
    'init_translator': '.inference.loading',
    'list_models': '.model_zoo',
    'read_weights': '..utils.checkpoints',
    'resolve_model': '.model_zoo',
}

__all__ = list(_PLACES)


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(importlib.import_module(_PLACES[name], __name__), name)
