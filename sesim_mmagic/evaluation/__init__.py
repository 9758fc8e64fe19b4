"""How good a translation is."""

from .appearance import AppearanceScores
from .colouring import ColouringScores
from .distribution_metrics import DistributionScores
from .diversity import LPIPSDiversity
from .feature_networks import InceptionFeatures, PooledFeatures
from .lpips_distance import LPIPSDistance
from .mode_coverage import ModeCoverage
from .paired_metrics import PairedScores, SyntheticScores
from .patch_distance import PatchDistance
from .segmentation import SegmentationScores
from .segmentors import NetworkSegmentor
from .structure_distance import StructureDistance
from .translation_metric import TranslationMetric

__all__ = [
    'AppearanceScores',
    'ColouringScores',
    'DistributionScores',
    'InceptionFeatures',
    'LPIPSDistance',
    'LPIPSDiversity',
    'ModeCoverage',
    'NetworkSegmentor',
    'PairedScores',
    'PatchDistance',
    'PooledFeatures',
    'SyntheticScores',
    'SegmentationScores',
    'StructureDistance',
    'TranslationMetric',
]
