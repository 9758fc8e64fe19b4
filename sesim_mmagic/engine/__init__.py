"""What watches a training or a test from outside: loop, hooks, optimizer wrapper, HTML page."""

from sesim_mmagic.engine.cpu import CpuAmpOptimWrapper
from sesim_mmagic.engine.hooks import (
    FixedInputsHook,
    ResultsHook,
    SafeCheckpointHook,
    SaveTranslationsHook,
)
from sesim_mmagic.engine.loops import ResumableIterTrainLoop
from sesim_mmagic.engine.report import write_report
from sesim_mmagic.engine.results_file import read_results
from sesim_mmagic.engine.storage import AtomicLocalBackend

__all__ = [
    'AtomicLocalBackend',
    'CpuAmpOptimWrapper',
    'FixedInputsHook',
    'ResultsHook',
    'ResumableIterTrainLoop',
    'SafeCheckpointHook',
    'SaveTranslationsHook',
    'read_results',
    'write_report',
]
