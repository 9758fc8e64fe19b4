"""Translation models: what a training step does and how an image is translated."""

from . import mmagic_strips  # noqa: F401  makes layers known
from .mmagic_models import SeSimCycleGAN, SeSimPix2Pix
from .multi_modal import MultiModalTranslator
from .one_sided import OneSidedTranslator
from .translator import Translator

__all__ = [
    'MultiModalTranslator',
    'OneSidedTranslator',
    'SeSimCycleGAN',
    'SeSimPix2Pix',
    'Translator',
]
