"""Datasets, samplers and transforms of unpaired pictures, and the procedural world."""

from .appearance import AppearanceView
from .formatting import PackDomains
from .paired_folder import PairedFolderDataset
from .procedural_world import write_world
from .random_state import seeded_generators
from .samplers import ResumableSampler
from .single_image_pair import SingleImagePairDataset
from .transforms import CheckSize, LoadPicture, LoadPicturePair
from .unpaired_folders import UnpairedFolderDataset

__all__ = [
    'AppearanceView',
    'CheckSize',
    'LoadPicture',
    'LoadPicturePair',
    'PackDomains',
    'PairedFolderDataset',
    'ResumableSampler',
    'SingleImagePairDataset',
    'UnpairedFolderDataset',
    'seeded_generators',
    'write_world',
]
