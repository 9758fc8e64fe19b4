"""MMEngine hooks."""

from sesim_mmagic.engine.hooks.checkpoint import SafeCheckpointHook
from sesim_mmagic.engine.hooks.checkpoint_match import CheckpointMatchHook
from sesim_mmagic.engine.hooks.finite_loss import FiniteLossHook
from sesim_mmagic.engine.hooks.fixed_inputs import FixedInputsHook
from sesim_mmagic.engine.hooks.progress import ProgressHook
from sesim_mmagic.engine.hooks.results import ResultsHook, read_results
from sesim_mmagic.engine.hooks.seed_iterations import SeedIterationsHook
from sesim_mmagic.engine.hooks.translations import SaveTranslationsHook

__all__ = [
    'CheckpointMatchHook',
    'FiniteLossHook',
    'FixedInputsHook',
    'ProgressHook',
    'ResultsHook',
    'SafeCheckpointHook',
    'SaveTranslationsHook',
    'SeedIterationsHook',
    'read_results',
]
