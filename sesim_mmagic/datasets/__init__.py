"""Datasets, samplers and transforms of unpaired pictures, and the synthetic shapes."""

from .formatting import PackDomains
from .paired_folder import PairedFolderDataset
from .samplers import ResumableSampler
from .single_image_pair import SingleImagePairDataset
from .synthetic_shapes import write_shapes
from .transforms import CheckSize, LoadPicture, LoadPicturePair
from .unpaired_folders import UnpairedFolderDataset

__all__ = [
    'CheckSize',
    'LoadPicture',
    'LoadPicturePair',
    'PackDomains',
    'PairedFolderDataset',
    'ResumableSampler',
    'SingleImagePairDataset',
    'UnpairedFolderDataset',
    'write_shapes',
]
