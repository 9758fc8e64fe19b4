"""How good a translation is."""

from .paired_metrics import PairedMetric, PairedScores, ProceduralScores

__all__ = ['PairedMetric', 'PairedScores', 'ProceduralScores']
