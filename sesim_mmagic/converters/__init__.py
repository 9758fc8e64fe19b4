"""Published files of CycleGAN, CUT, FastCUT and F-LSeSim, from and to checkpoints."""

from .joining import join
from .networks import Converted, to_ours, to_published
from .splitting import Split, split
from .variants import Variant, identify

__all__ = [
    'Converted',
    'Split',
    'Variant',
    'identify',
    'join',
    'split',
    'to_ours',
    'to_published',
]
