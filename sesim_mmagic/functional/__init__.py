"""Pure tensor maths of the losses: no parameters, no state, torch alone."""

from .augmentation import augment
from .contrastive import info_nce
from .self_similarity import sample_positions, self_similarity, spatial_distance

__all__ = ['augment', 'info_nce', 'sample_positions', 'self_similarity', 'spatial_distance']
