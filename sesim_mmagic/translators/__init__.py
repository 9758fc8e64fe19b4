"""Translation models: what a training step does and how an image is translated."""

from .host_models import SeSimCycleGAN, SeSimPix2Pix
from .one_sided import OneSidedTranslator

__all__ = ['OneSidedTranslator', 'SeSimCycleGAN', 'SeSimPix2Pix']
