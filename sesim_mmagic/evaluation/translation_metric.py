"""What all metrics of translations share: samples in, pictures as they would be saved."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmagic.evaluation.metrics.base_sample_wise_metric import BaseSampleWiseMetric
from mmengine.evaluator import BaseMetric


class TranslationMetric(BaseSampleWiseMetric):
    """Measures what a test loop yields, a picture at a time, in MMEngine's loops and MMagic's.

    A subclass says what to keep of a sample (:meth:`measure`) and what follows from all of them
    (``compute_metrics``). Every sample gives exactly one entry of ``results``: so the pictures of
    all ranks count once each, without those that a sampler repeats to make the shares even.

    Args:
        target_domain (str): Domain of the translations: samples hold ``fake_{target_domain}``.
        source_domain (str, optional): Domain of the sources. Defaults to None: the metric does
            not look at them.
        **kwargs: Those of MMEngine's ``BaseMetric`` (``collect_device``, ``prefix``).
    """

    metric = 'translation'  # MMagic wants a name; ours give several numbers

    def __init__(self, target_domain: str, source_domain: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_domain = target_domain
        self.source_domain = source_domain

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Measure the samples of a batch.

        Raises:
            ValueError: If a sample lacks what the metric needs.
        """
        self.results.extend(self.measure(sample) for sample in data_samples)

    def measure(self, sample: Mapping) -> dict[str, Any]:
        """What the metric keeps of one sample (small: it is gathered from all ranks)."""
        raise NotImplementedError

    def evaluate(self, size: int | None = None) -> dict[str, float]:
        """Scores over all ranks; ``size`` is MMEngine's, MMagic gave it to :meth:`prepare`."""
        return BaseMetric.evaluate(self, self.size if size is None else size)

    def picture(self, sample: Mapping, key: str) -> np.ndarray:
        """The picture under ``key`` as it would be saved: (H, W, 3), RGB, uint8.

        Raises:
            ValueError: If the sample has none.
        """
        if sample.get(key) is None:
            raise ValueError(
                f'{type(self).__name__}: a sample has no {key}, only {sorted(sample)}; the test '
                'pipeline must load that domain, and the model translate into the target domain'
            )
        return to_rgb(sample[key])


def to_rgb(image: torch.Tensor) -> np.ndarray:
    """A BGR tensor (3, H, W) in [0, 255] as the RGB picture (H, W, 3) that would be saved."""
    image = image.detach().float().round().clamp(0, 255).byte().cpu()
    return np.ascontiguousarray(image.numpy()[::-1].transpose(1, 2, 0))
