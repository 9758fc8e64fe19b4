"""What all metrics of translations share: samples in, pictures as they would be saved."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmagic.evaluation.metrics.base_sample_wise_metric import BaseSampleWiseMetric
from mmengine.device import get_device
from mmengine.evaluator import BaseMetric


class TranslationMetric(BaseSampleWiseMetric):
    """Measures what a test loop yields, a picture at a time, in MMEngine's loops and MMagic's.

    A subclass says what to keep of a sample (:meth:`measure`) and, where it is not the mean, what
    follows from all of them (:meth:`compute_metrics`). Every sample gives exactly one entry of
    ``results``: so the pictures of all ranks count once each, without those that a sampler
    repeats to make the shares even.

    Args:
        target_domain (str): Domain of the translations: samples hold ``fake_{target_domain}``.
        source_domain (str, optional): Domain of the sources. Defaults to None: the metric does
            not look at them.
        **kwargs: Those of MMEngine's ``BaseMetric`` (``collect_device``, ``prefix``) and
            ``device``, where networks of the metric run (by default the accelerator).
    """

    metric = 'translation'  # MMagic wants a name; ours give several numbers

    def __init__(self, target_domain: str, source_domain: str | None = None, **kwargs: Any) -> None:
        super().__init__(**{'device': get_device(), **kwargs})
        self.target_domain = target_domain
        self.source_domain = source_domain

    def init_weights(self) -> None:
        """Read the weights of the metric's networks, if it has any.

        They are read when the first picture comes; this is for whoever wants to know before a
        training that they are there.

        Raises:
            FileNotFoundError: If a file is missing or cannot be downloaded.
            ValueError: If a file holds something else.
        """

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Measure the samples of a batch.

        Raises:
            ValueError: If a sample lacks what the metric needs.
        """
        self.results.extend(self.measure(sample) for sample in data_samples)

    def measure(self, sample: Mapping) -> dict[str, Any]:
        """What the metric keeps of one sample (small: it is gathered from all ranks)."""
        raise NotImplementedError

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Mean of every score over the samples of all ranks."""
        return {key: float(np.mean([r[key] for r in results])) for key in results[0]}

    def evaluate(self, size: int | None = None) -> dict[str, float]:
        """Scores over all ranks; ``size`` is MMEngine's, MMagic gave it to :meth:`prepare`."""
        return BaseMetric.evaluate(self, self.size if size is None else size)

    def picture(self, sample: Mapping, key: str) -> np.ndarray:
        """The picture under ``key`` as it would be saved: (H, W, 3), RGB, uint8.

        Raises:
            ValueError: If the sample has none, or several.
        """
        return to_rgb(self._images(sample, key, 'one picture (3, H, W)', 3))

    def translations(self, sample: Mapping) -> np.ndarray:
        """All translations of a source as they would be saved: (N, H, W, 3).

        Those under ``fakes_{target_domain}``, as a multi-modal translator gives them, or the one
        under ``fake_{target_domain}``.

        Raises:
            ValueError: If the sample has none, or they have another shape.
        """
        key = f'fakes_{self.target_domain}'
        if key not in sample:
            return self.picture(sample, f'fake_{self.target_domain}')[None]
        return to_rgb(self._images(sample, key, 'pictures of one source (N, 3, H, W)', 4))

    def _images(self, sample: Mapping, key: str, wanted: str, dimensions: int) -> torch.Tensor:
        images = sample.get(key)
        if images is None:
            raise ValueError(
                f'{type(self).__name__}: a sample has no {key}, only {sorted(sample)}; the test '
                'pipeline must load that domain, and the model translate into the target domain'
            )
        if images.dim() != dimensions:
            raise ValueError(
                f'{type(self).__name__}: {key} must be {wanted}, got shape {tuple(images.shape)}'
            )
        return images


def to_rgb(images: torch.Tensor) -> np.ndarray:
    """BGR tensors (..., 3, H, W) in [0, 255] as the RGB pictures (..., H, W, 3) to be saved."""
    images = images.detach().float().round().clamp(0, 255).byte().cpu()
    return np.ascontiguousarray(np.moveaxis(images.numpy()[..., ::-1, :, :], -3, -1))


def to_batch(pictures: np.ndarray, device: torch.device | str = 'cpu') -> torch.Tensor:
    """RGB pictures (H, W, 3) or (B, H, W, 3), uint8, as a float batch (B, 3, H, W) in [0, 255]."""
    batch = torch.from_numpy(pictures.reshape(-1, *pictures.shape[-3:]))
    return batch.permute(0, 3, 1, 2).to(device).float()
