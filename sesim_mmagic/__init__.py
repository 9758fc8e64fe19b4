"""Spatially-correlative losses (FSeSim, LSeSim) and the translators built on them, for MMagic.

Importing the package repairs what is broken in MMagic and MMEngine (see :mod:`sesim_mmagic.compat`)
and nothing else: MMagic is imported when a registry is asked for a module.
"""

from sesim_mmagic import compat
from sesim_mmagic.version import __version__

compat.apply()

__all__ = ['__version__']
