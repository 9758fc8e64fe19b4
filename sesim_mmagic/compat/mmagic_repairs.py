"""Repairs of MMagic and of what it imports; the table of ``compat`` says why."""

import functools
import importlib.util
import inspect
import sys
from collections.abc import Callable
from importlib.machinery import PathFinder
from types import SimpleNamespace
from typing import Any

from .importing import Missing, note


def repair_numpy_bool8(np: Any) -> None:
    """Give NumPy 2 its old alias ``np.bool8`` back."""
    if not np.__version__.startswith('1.'):
        np.bool8 = np.bool_
        note('numpy_bool8')


def repair_mmcv_ext() -> None:
    """Put a placeholder where ``mmcv._ext`` is missing, i.e. when only mmcv-lite is installed."""
    if 'mmcv._ext' in sys.modules:
        return
    mmcv = importlib.util.find_spec('mmcv')
    if mmcv and not PathFinder.find_spec('mmcv._ext', mmcv.submodule_search_locations):
        sys.modules['mmcv._ext'] = Missing(
            'mmcv._ext',
            'it is a compiled operator, and mmcv-lite has none. Replace it by the full package: '
            "pip uninstall mmcv-lite, then pip install 'mmcv>=2.0.0,<2.2.0'.",
        )
        note('mmcv_ext')


def repair_mediapipe_solutions(mediapipe: Any) -> None:
    """Put a placeholder where mediapipe's old ``solutions`` were."""
    if not hasattr(mediapipe, 'solutions'):
        mediapipe.solutions = Missing(
            'mediapipe.solutions',
            'detectors of controlnet_aux need it, and the installed mediapipe has no solutions. '
            "pip install 'mediapipe<0.11', if the other packages bear it.",
        )
        note('mediapipe_solutions')


def repair_generation_init_weights(model_utils: Any) -> None:
    """Let MMagic initialize networks with layers that it does nothing to."""
    broken = model_utils.generation_init_weights
    if hasattr(broken, '__wrapped__'):
        return

    @functools.wraps(broken)
    def generation_init_weights(module: Any, *args: Any, **kwargs: Any) -> None:
        apply_to_layers = module.apply
        # Of this instance, for the length of this call.
        module.apply = lambda init: apply_to_layers(lambda layer: _tolerantly(init, layer))
        try:
            broken(module, *args, **kwargs)
        finally:
            del module.apply

    # Editors imported earlier hold the broken function under its own name.
    for imported in [model_utils, *(m for n, m in sys.modules.items() if n.startswith('mmagic.'))]:
        if vars(imported).get('generation_init_weights') is broken:
            imported.generation_init_weights = generation_init_weights
    note('generation_init_weights')


def _tolerantly(init: Callable, layer: object) -> None:
    try:
        init(layer)
    except UnboundLocalError as error:
        if 'init_info' not in str(error):
            raise


def repair_sqrtm_disp(fid: Any) -> None:
    """Give MMagic's FID a matrix square root that takes ``disp``."""
    linalg = fid.linalg
    if 'disp' in inspect.signature(linalg.sqrtm).parameters:
        return

    def sqrtm(matrix: Any, disp: bool = True) -> Any:
        root = linalg.sqrtm(matrix)
        return root if disp else (root, float('nan'))  # nobody reads the error estimate

    fid.linalg = SimpleNamespace(**{**vars(linalg), 'sqrtm': sqrtm})
    note('sqrtm_disp')
