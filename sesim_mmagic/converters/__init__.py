"""Published files of CycleGAN, CUT, FastCUT and F-LSeSim, from and to checkpoints.

``layouts`` is the table of names, read both ways; ``networks`` tells which network some tensors are
and renames them; ``checkpoints`` joins files to a checkpoint and splits one into files.
"""

from .checkpoints import join, split
from .networks import Network, convert

__all__ = ['Network', 'convert', 'join', 'split']
