"""Losses: hyper-parameters and heads around the maths of ``functional``."""

from .fsesim import FSeSimLoss
from .lsesim import LSeSimLoss
from .structure_loss import LearnedStructureLoss, StructureLoss
from .style import StyleLoss

__all__ = ['FSeSimLoss', 'LSeSimLoss', 'LearnedStructureLoss', 'StructureLoss', 'StyleLoss']
