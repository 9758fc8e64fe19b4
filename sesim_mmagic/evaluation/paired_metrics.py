"""Metrics of test sets whose pairs give every translation a truth."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sesim_mmagic.datasets.shape_scenes import PALETTE
from sesim_mmagic.registry import METRICS

from . import scores
from .lpips_distance import LPIPSDistance
from .translation_metric import TranslationMetric


@METRICS.register_module()
class PairedScores(TranslationMetric):
    """PSNR (dB), SSIM and boundary F1 (Canny edges, 1 pixel) of translations to their truth.

    Means over pictures.

    Args:
        target_domain (str): Domain of translation and truth.
        source_domain (str, optional): If given, file names of source and truth are compared.
        lpips (dict, optional): Arguments of :class:`LPIPSDistance` (``net``, ``pretrained``,
            ``seed``) if LPIPS is wanted too, ``{}`` for its usual ones. Defaults to None: no
            LPIPS, which needs weights.
        **kwargs: Those of :class:`TranslationMetric`.
    """

    default_prefix = 'paired'

    def __init__(
        self,
        target_domain: str,
        source_domain: str | None = None,
        *,
        lpips: dict | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(target_domain, source_domain, **kwargs)
        self.lpips = None if lpips is None else LPIPSDistance(**lpips, device=self.device)

    def init_weights(self) -> None:
        """Read the weights of LPIPS, if it is asked for."""
        if self.lpips is not None:
            self.lpips.init_weights()

    def measure(self, sample: Mapping) -> dict[str, Any]:
        """Scores of one sample.

        Raises:
            ValueError: If it has no translation or no truth, or they do not fit.
        """
        paths = [sample.get(f'img_{d}_path') for d in (self.source_domain, self.target_domain)]
        if len({Path(path).stem for path in paths if path}) > 1:
            raise ValueError(
                f'{type(self).__name__}: {paths[0]} and {paths[1]} are no pair; name source and '
                'truth alike (dataset option paired=True checks it at the start)'
            )
        truth, picture = self.pair(sample, self.target_domain)
        measured = dict(psnr=scores.psnr(truth, picture), ssim=scores.ssim(truth, picture))
        if self.lpips is not None:
            measured['lpips'] = self.lpips(truth, picture)
        return measured | self.structure(truth, picture)

    def structure(self, truth: np.ndarray, picture: np.ndarray) -> dict[str, Any]:
        """Scores of the structure; both pictures RGB, uint8, (H, W, 3)."""
        true, given = (scores.picture_edges(image) for image in (truth, picture))
        return dict(boundary_f1=scores.boundary_f1(true, given))


@METRICS.register_module()
class SyntheticScores(PairedScores):
    """Structure and style of translations into the flat style of the synthetic shapes.

    Pixels are classed by the nearest colour of the palette. ``foreground_iou``, ``miou`` (four
    classes) and ``miou_permuted`` (best renaming of the three foreground classes) come from the
    confusion matrix of all pixels; ``boundary_f1`` (1 pixel), ``psnr`` (dB), ``ssim`` and
    ``style`` (share of pixels within 0.15 RGB of a colour of the palette) are means over pictures.

    Args: As for :class:`PairedScores`.
    """

    default_prefix = 'synthetic'

    def structure(self, truth: np.ndarray, picture: np.ndarray) -> dict[str, Any]:
        """Scores of the structure, the confusion matrix and the style."""
        true, given = (scores.segment_by_palette(image, PALETTE) for image in (truth, picture))
        boundary, given_boundary = map(scores.label_boundaries, (true, given))
        return dict(
            confusion=scores.confusion_matrix(true, given, len(PALETTE)),
            boundary_f1=scores.boundary_f1(boundary, given_boundary),
            style=scores.style_share(picture, PALETTE),
        )

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Scores over the pictures of all ranks."""
        confusion = sum(result.pop('confusion') for result in results)
        return dict(
            foreground_iou=scores.foreground_iou(confusion),
            miou=scores.mean_iou(confusion),
            miou_permuted=scores.mean_iou_best_permutation(confusion),
            **super().compute_metrics(results),
        )
