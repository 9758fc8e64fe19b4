"""Losses: hyper-parameters and heads around the maths of ``functional``."""

from .brightness import BrightnessLoss
from .fsesim import FSeSimLoss
from .lsesim import LSeSimLoss
from .patch_nce import PatchNCELoss
from .perceptual import PerceptualLoss
from .pixel import PixelLoss
from .structure_loss import LearnedStructureLoss, StructureLoss

__all__ = [
    'BrightnessLoss',
    'FSeSimLoss',
    'LSeSimLoss',
    'LearnedStructureLoss',
    'PatchNCELoss',
    'PerceptualLoss',
    'PixelLoss',
    'StructureLoss',
]
