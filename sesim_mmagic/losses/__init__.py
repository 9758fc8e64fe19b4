"""Losses: hyper-parameters and heads around the maths of ``functional``."""

from .fsesim import FSeSimLoss
from .structure_loss import StructureLoss
from .style import StyleLoss

__all__ = ['FSeSimLoss', 'StructureLoss', 'StyleLoss']
