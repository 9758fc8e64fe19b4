"""FID, KID, density and coverage: translations beside real pictures in a network's features."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log

from sesim_mmagic.registry import METRICS, MODELS
from sesim_mmagic.utils.checks import check_ints

from . import set_scores
from .set_metric import SetMetric

SCORES = ('fid', 'kid', 'density', 'coverage')


@METRICS.register_module()
class DistributionScores(SetMetric):
    """FID, KID, density and coverage of translations, all in the features of one network.

    Keys of results end in the network's name: ``fid_clean``, ``fid_legacy`` (see
    :class:`InceptionFeatures` for which to compare with what), ``fid_vgg16``; and so ``kid_clean``
    (mean over subsets), ``kid_std_clean``, ``density_clean``, ``coverage_clean``. For the best
    checkpoint: ``save_best='distribution/kid_clean'``.

    FID is biased upwards by few pictures, so only figures of equally many compare; KID is not
    biased. A set smaller than the number of features is warned of.

    Args:
        target_domain (str): Domain of the translations ``fake_{target_domain}``.
        source_domain (str): Domain of the sources, by whose paths translations count once.
        feature_net (dict, optional): Config of a :class:`FeatureNetwork`. Defaults to None:
            ``dict(type='sesim_mmagic.InceptionFeatures')``.
        scores (Sequence[str]): Which of ``'fid'``, ``'kid'``, ``'density'`` and ``'coverage'``.
            Defaults to all.
        kid_subsets (int): Number of random subsets for KID. Defaults to 100.
        kid_subset_size (int): Pictures of each set in a subset; the size of the smaller set where
            that is less. Defaults to 1000.
        num_neighbours (int): Neighbours for density and coverage. Defaults to 5, as their paper.
        seed (int): Seed of KID's subsets. Defaults to 0.
        **kwargs: Those of :class:`SetMetric`.

    Raises:
        ValueError: If an argument is unknown or too small, or does not fit another; on
            evaluation, if there are fewer pictures than a score needs.
        FileNotFoundError: At the first sample, if weights or real pictures are missing.
    """

    default_prefix = 'distribution'

    def __init__(
        self,
        target_domain: str,
        source_domain: str,
        feature_net: dict | None = None,
        scores: Sequence[str] = SCORES,
        kid_subsets: int = 100,
        kid_subset_size: int = 1000,
        num_neighbours: int = 5,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(target_domain, source_domain, **kwargs)
        check_ints(self, 1, kid_subsets=kid_subsets, num_neighbours=num_neighbours)
        check_ints(self, 2, kid_subset_size=kid_subset_size)
        if isinstance(scores, str) or not scores or not set(scores) <= set(SCORES):
            raise ValueError(
                f'DistributionScores: scores must be a list of {", ".join(SCORES)}; got {scores!r}'
            )
        self.feature_net = MODELS.build(feature_net or dict(type='sesim_mmagic.InceptionFeatures'))
        self.scores = tuple(scores)
        self.kid_subsets = kid_subsets
        self.kid_subset_size = kid_subset_size
        self.num_neighbours = num_neighbours
        self.seed = seed
        self._has_warned = False

    def init_weights(self) -> None:
        """Read the weights of the feature network."""
        self.feature_net.init_weights()

    def extract(self, pixels: np.ndarray, is_real: bool) -> np.ndarray:
        """Features (C,) of a picture."""
        batch = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]
        return self.feature_net.to(self.device)(batch)[0].cpu().numpy()

    def compare(self, real: list[np.ndarray], fake: list[np.ndarray]) -> dict[str, float]:
        """Scores of two sets of features."""
        real_features, fake_features = np.array(real), np.array(fake)
        both = real_features, fake_features
        scores = {}
        if 'fid' in self.scores:
            self._warn_of_few(len(real), len(fake), real_features.shape[1])
            scores['fid'] = set_scores.fid(*both)
        if 'kid' in self.scores:
            subset_size = min(self.kid_subset_size, len(real), len(fake))
            # Subsets that take all there is are one and the same.
            subsets = self.kid_subsets if subset_size < max(len(real), len(fake)) else 1
            kid = set_scores.kid(*both, subsets, subset_size, self.seed)
            scores['kid'], scores['kid_std'] = kid
        if {'density', 'coverage'} & set(self.scores):
            density_coverage = set_scores.density_and_coverage(*both, self.num_neighbours)
            scores['density'], scores['coverage'] = density_coverage
        # KID comes with its deviation; whoever asks for one of the last two gets that alone.
        keys = [key for key in scores if key.removesuffix('_std') in self.scores]
        return {f'{key}_{self.feature_net.name}': scores[key] for key in keys}

    def check_numbers(self, num_real: int, num_fake: int) -> None:
        """Raise ``ValueError`` if a score needs more pictures."""
        for score in self.scores:
            least = 2 if score in ('fid', 'kid') else self.num_neighbours + 2
            if min(num_real, num_fake) < least:
                raise ValueError(
                    f'DistributionScores: {score} needs at least {least} real pictures and '
                    f'as many translations of different sources, got {num_real} and {num_fake}; '
                    'test on more pictures, or leave it out of scores'
                )

    def _warn_of_few(self, num_real: int, num_fake: int, num_features: int) -> None:
        if min(num_real, num_fake) < num_features and not self._has_warned:
            print_log(
                f'FID of {num_real} real pictures and {num_fake} translations in {num_features} '
                'features: fewer pictures than features leave covariances without full rank, and '
                'the figure is too high; compare it with such of equally many pictures alone',
                'current',
                logging.WARNING,
            )
            self._has_warned = True
