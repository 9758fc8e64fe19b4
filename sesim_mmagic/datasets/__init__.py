"""Datasets, samplers and transforms of unpaired pictures, and the procedural world."""

from .formatting import PackDomains
from .procedural_world import write_world
from .samplers import ResumableSampler
from .transforms import CheckSize, LoadPicture
from .unpaired_folders import UnpairedFolderDataset

__all__ = [
    'CheckSize',
    'LoadPicture',
    'PackDomains',
    'ResumableSampler',
    'UnpairedFolderDataset',
    'write_world',
]
