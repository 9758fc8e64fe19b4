"""Published files of CycleGAN, CUT, FastCUT and F-LSeSim, from and to checkpoints.

A network of this package, built without memory, says which tensors it has; ``layouts`` says what
each is called in a published file. One list serves both ways.
"""

from .joining import join
from .networks import Converted, Variant, identify, to_ours, to_published
from .splitting import Split, split

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
