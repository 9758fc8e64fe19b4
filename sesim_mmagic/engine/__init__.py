"""What watches a training or a test from outside: loop, hooks, optimizer wrapper, HTML page."""

from sesim_mmagic.engine.hooks import (
    CheckpointMatchHook,
    FiniteLossHook,
    FixedInputsHook,
    ProgressHook,
    ResultsHook,
    SafeCheckpointHook,
    SaveTranslationsHook,
    SeedIterationsHook,
    read_results,
)
from sesim_mmagic.engine.html_report import write_report
from sesim_mmagic.engine.loops import ResumableIterTrainLoop
from sesim_mmagic.engine.optim_wrapper import CpuAmpOptimWrapper
from sesim_mmagic.engine.storage import AtomicLocalBackend

__all__ = [
    'AtomicLocalBackend',
    'CheckpointMatchHook',
    'CpuAmpOptimWrapper',
    'FiniteLossHook',
    'FixedInputsHook',
    'ProgressHook',
    'ResultsHook',
    'ResumableIterTrainLoop',
    'SafeCheckpointHook',
    'SaveTranslationsHook',
    'SeedIterationsHook',
    'read_results',
    'write_report',
]
