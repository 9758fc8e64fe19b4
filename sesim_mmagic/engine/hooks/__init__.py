"""MMEngine hooks."""

from sesim_mmagic.engine.hooks.checkpoint import SafeCheckpointHook
from sesim_mmagic.engine.hooks.fixed_inputs import FixedInputsHook
from sesim_mmagic.engine.hooks.results import ResultsHook
from sesim_mmagic.engine.hooks.translations import SaveTranslationsHook

__all__ = [
    'FixedInputsHook',
    'ResultsHook',
    'SafeCheckpointHook',
    'SaveTranslationsHook',
]
