"""Metrics of test sets whose pairs give every translation a truth."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmagic.evaluation.metrics.base_sample_wise_metric import BaseSampleWiseMetric
from mmengine.evaluator import BaseMetric

from sesim_mmagic.datasets.procedural import PALETTE
from sesim_mmagic.registry import METRICS

from . import scores


class PairedMetric(BaseSampleWiseMetric):
    """What metrics of pairs share: the pictures of a sample as they would be saved.

    They work in MMEngine's loops and in MMagic's. Means are over pictures, each counted once
    however many ranks there are.

    Args:
        target_domain (str): Domain of translation and truth: samples hold
            ``fake_{target_domain}`` and ``img_{target_domain}``.
        source_domain (str, optional): If given, file names of source and truth are compared.
        **kwargs: Those of MMEngine's ``BaseMetric``.
    """

    metric = 'paired'  # MMagic wants a name; ours give several numbers

    def __init__(self, target_domain: str, source_domain: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_domain = target_domain
        self.source_domain = source_domain

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Score the samples of a batch.

        Raises:
            ValueError: If a sample has no translation or no truth, or they do not fit.
        """
        for sample in data_samples:
            truth, picture = self._pictures(sample)
            self.results.append(self.score(truth, picture))

    def score(self, truth: np.ndarray, picture: np.ndarray) -> dict[str, Any]:
        """Scores of one translation; both pictures RGB, uint8, (H, W, 3)."""
        raise NotImplementedError

    def _pictures(self, sample: dict) -> tuple[np.ndarray, np.ndarray]:
        name = type(self).__name__
        keys = f'img_{self.target_domain}', f'fake_{self.target_domain}'
        for key in keys:
            if sample.get(key) is None:
                raise ValueError(
                    f'{name}: a sample has no {key}, only {sorted(sample)}; the test pipeline must '
                    'load the truth and the model must translate into that domain'
                )
        truth, picture = (to_rgb(sample[key]) for key in keys)
        paths = [sample.get(f'img_{d}_path') for d in (self.source_domain, self.target_domain)]
        if all(paths) and len({Path(path).stem for path in paths}) > 1:
            raise ValueError(
                f'{name}: {paths[0]} and {paths[1]} are no pair; name source and truth alike '
                '(dataset option paired=True checks it at the start)'
            )
        if truth.shape != picture.shape:
            raise ValueError(
                f'{name}: the translation is {picture.shape[0]} x {picture.shape[1]} pixels, its '
                f'truth {truth.shape[0]} x {truth.shape[1]} ({paths[1]}); pairs must have one size'
            )
        return truth, picture

    def evaluate(self, size: int | None = None) -> dict[str, float]:
        """Scores over all ranks; ``size`` is MMEngine's, MMagic gave it to :meth:`prepare`."""
        return BaseMetric.evaluate(self, self.size if size is None else size)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Mean of every score over the pictures of all ranks."""
        return {key: float(np.mean([r[key] for r in results])) for key in results[0]}


def to_rgb(image: torch.Tensor) -> np.ndarray:
    """A BGR tensor (3, H, W) in [0, 255] as the RGB picture (H, W, 3) that would be saved."""
    image = image.detach().float().round().clamp(0, 255).byte().cpu()
    return np.ascontiguousarray(image.numpy()[::-1].transpose(1, 2, 0))


@METRICS.register_module()
class PairedScores(PairedMetric):
    """PSNR (dB), SSIM and boundary F1 (Canny edges, 1 pixel) of translations to their truth.

    Args:
        target_domain (str): See :class:`PairedMetric`.
        source_domain (str, optional): See :class:`PairedMetric`.
    """

    default_prefix = 'paired'

    def score(self, truth: np.ndarray, picture: np.ndarray) -> dict[str, float]:
        """Scores of one translation."""
        edges = [scores.picture_edges(image) for image in (truth, picture)]
        return dict(
            psnr=scores.psnr(truth, picture),
            ssim=scores.ssim(truth, picture),
            boundary_f1=scores.boundary_f1(*edges),
        )


@METRICS.register_module()
class ProceduralScores(PairedMetric):
    """Structure and style of translations into the flat style of the procedural world.

    Pixels are classed by the nearest colour of the palette. ``foreground_iou``, ``miou`` (four
    classes) and ``miou_permuted`` (best renaming of the three foreground classes) come from the
    confusion matrix of all pixels; ``boundary_f1`` (1 pixel), ``psnr`` (dB), ``ssim`` and
    ``style`` (share of pixels within 0.15 RGB of a colour of the palette) are means over pictures.

    Args:
        target_domain (str): See :class:`PairedMetric`.
        source_domain (str, optional): See :class:`PairedMetric`.
    """

    default_prefix = 'procedural'

    def score(self, truth: np.ndarray, picture: np.ndarray) -> dict[str, Any]:
        """Scores of one translation, and its confusion matrix."""
        labels = [scores.segment_by_palette(image, PALETTE) for image in (truth, picture)]
        boundaries = [scores.label_boundaries(label_map) for label_map in labels]
        return dict(
            confusion=scores.confusion_matrix(*labels, len(PALETTE)),
            boundary_f1=scores.boundary_f1(*boundaries),
            psnr=scores.psnr(truth, picture),
            ssim=scores.ssim(truth, picture),
            style=scores.style_share(picture, PALETTE),
        )

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Scores over the pictures of all ranks."""
        confusion = sum(result['confusion'] for result in results)
        means = super().compute_metrics(
            [{k: v for k, v in result.items() if k != 'confusion'} for result in results]
        )
        return dict(
            foreground_iou=scores.foreground_iou(confusion),
            miou=scores.mean_iou(confusion),
            miou_permuted=scores.mean_iou_best_permutation(confusion),
            **means,
        )
