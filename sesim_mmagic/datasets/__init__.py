"""Datasets, samplers and transforms of unpaired pictures, and the procedural world."""

from .appearance import AppearanceView
from .formatting import PackDomains
from .procedural_world import write_world
from .random_state import seeded_generators
from .samplers import ResumableSampler
from .single_image_pair import SingleImagePairDataset
from .transforms import CheckSize, LoadPicture
from .unpaired_folders import UnpairedFolderDataset

__all__ = [
    'AppearanceView',
    'CheckSize',
    'LoadPicture',
    'PackDomains',
    'ResumableSampler',
    'SingleImagePairDataset',
    'UnpairedFolderDataset',
    'seeded_generators',
    'write_world',
]
