"""How much the translations of one source differ."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

from sesim_mmagic.registry import METRICS

from .lpips_distance import LPIPSDistance
from .translation_metric import TranslationMetric


@METRICS.register_module()
class LPIPSDiversity(TranslationMetric):
    """Mean LPIPS between translations of one source, as multi-modal translators report it.

    The mean over all pairs of outputs of a source, then over sources; a larger one is more
    diverse (BicycleGAN, J.-Y. Zhu et al., NeurIPS 2017). It rewards any difference, noise and
    lost structure too, so it says something beside a score of realism and one of structure.

    Args:
        target_domain (str): Samples hold N translations of their source,
            ``fakes_{target_domain}`` of shape (N, 3, H, W), N at least 2.
        max_pairs (int, optional): Most pairs of a source; of more pairs this many are drawn,
            the same ones for every source with as many outputs. Defaults to None: all
            N (N - 1) / 2.
        seed (int): Seed of that draw. Defaults to 0.
        lpips (dict, optional): Arguments of :class:`LPIPSDistance` (``net``, ``pretrained``,
            ``seed``). Defaults to None: AlexNet with torchvision's weights.
        **kwargs: Those of :class:`TranslationMetric`.

    Raises:
        ValueError: If ``max_pairs`` is not positive.
    """

    default_prefix = 'diversity'

    def __init__(
        self,
        target_domain: str,
        *,
        max_pairs: int | None = None,
        seed: int = 0,
        lpips: dict | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(target_domain, **kwargs)
        if max_pairs is not None and max_pairs < 1:
            raise ValueError(f'LPIPSDiversity: max_pairs must be 1 or more, got {max_pairs}')
        self.max_pairs = max_pairs
        self.seed = seed
        self.distance = LPIPSDistance(**(lpips or {}), device=self.device)

    def init_weights(self) -> None:
        """Read the weights of LPIPS."""
        self.distance.init_weights()

    def measure(self, sample: Mapping) -> dict[str, float]:
        """Mean distance between the translations of one source.

        Raises:
            ValueError: If the sample has fewer than two.
        """
        pictures = self.translations(sample)
        if len(pictures) < 2:
            raise ValueError(
                f'LPIPSDiversity: a source has {len(pictures)} translation, and diversity needs 2 '
                'or more: set model.num_styles of a multi-modal translator'
            )
        pairs = self.pairs(len(pictures))
        compared = sorted({number for pair in pairs for number in pair})
        features = {number: self.distance.features(pictures[number]) for number in compared}
        distances = [self.distance.compare(features[i], features[j]) for i, j in pairs]
        return dict(lpips=float(np.mean(distances)))

    def pairs(self, count: int) -> list[tuple[int, int]]:
        """The pairs of ``count`` outputs that are compared; they depend on the seed alone."""
        pairs = list(combinations(range(count), 2))
        if self.max_pairs is None or len(pairs) <= self.max_pairs:
            return pairs
        rng = np.random.default_rng(self.seed)
        drawn = rng.choice(len(pairs), self.max_pairs, replace=False)
        return [pairs[i] for i in sorted(drawn)]
