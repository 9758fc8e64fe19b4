"""How good a translation is."""

from .paired_metrics import PairedMetric, PairedScores, ProceduralScores
from .translation_metric import TranslationMetric

__all__ = ['PairedMetric', 'PairedScores', 'ProceduralScores', 'TranslationMetric']
