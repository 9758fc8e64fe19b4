"""Whether a multi-modal translator covers the modes of the synthetic shapes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.ndimage import binary_erosion
from scipy.stats import entropy
from skimage.color import rgb2gray

from sesim_mmagic.datasets.shape_modes import check_modes, mode_colours, render_mode
from sesim_mmagic.datasets.shape_scenes import PALETTE
from sesim_mmagic.registry import METRICS

from . import scores
from .translation_metric import TranslationMetric

# Levels by which a source may differ from the flat palette: rounding, no more.
_FLAT_TOLERANCE = 3
# Fewest pixels of a class that its colour and texture are taken of without its margin.
_ENOUGH_PIXELS = 16


@METRICS.register_module()
class ModeCoverage(TranslationMetric):
    """Which modes of the synthetic shapes the translations of flat pictures are in.

    Every translation belongs to its nearest mode: the one whose rendering of the source's label
    map has the nearest colour and texture. Of both pictures each class of the label map, without
    a margin of a pixel, gives its mean colour and its texture: standard deviation of the
    luminance and root mean square of its differences to the next row and column. Distances are
    Euclidean, in units of [0, 1] RGB, root mean square over the classes, weighted by their area:
    they compare regions, not pixels. Results, over all translations of all sources:

    * ``share_0`` ... ``share_{N-1}``: share of each mode; the truth is 1 / N;
    * ``covered``: number of modes with a share of at least 1 / (4 N);
    * ``entropy``: of the shares, over log N: 1 is uniform, 0 one mode;
    * ``kl``: divergence of the shares from the true distribution, in nats;
    * ``modes_per_source``: modes among the translations of one source, mean over sources: 1 where
      the source alone decides, whatever ``covered`` is;
    * ``distance``: to the nearest mode, ``distance_colour`` and ``distance_texture`` its two
      sides (``distance`` is the root of the sum of their squares): 0 for the truth, 0.2 and more
      between two modes; grey pictures are about 0.4 from every mode, copies of the source 1.
      A translation far from every mode still counts for the nearest, so read this first;
    * ``foreground_iou`` (from all pixels) and ``boundary_f1`` (1 pixel): structure kept, pixels
      classed by the nearest colour of the mode.

    Args:
        target_domain (str): Samples hold N translations of their source,
            ``fakes_{target_domain}`` of shape (N, 3, H, W), or one, ``fake_{target_domain}``.
        source_domain (str): Domain A: samples hold ``img_{source_domain}``, a flat picture, which
            is its own label map.
        modes (int): Number of modes of the dataset, 2 or more.
        **kwargs: Those of :class:`TranslationMetric`.

    Raises:
        ValueError: If there are not as many modes.
    """

    default_prefix = 'modes'

    def __init__(
        self, target_domain: str, source_domain: str, *, modes: int, **kwargs: Any
    ) -> None:
        super().__init__(target_domain, source_domain, **kwargs)
        check_modes(modes, least=2)
        self.modes = modes

    def measure(self, sample: Mapping) -> dict[str, Any]:
        """Of each translation of a source its mode, distances and structure.

        Raises:
            ValueError: If the source is no flat picture of the dataset, or sizes differ.
        """
        labels = self._labels(sample)
        pictures = self.translations(sample)
        if not len(pictures) or pictures.shape[1:3] != labels.shape:
            raise ValueError(
                'ModeCoverage: the translations of a source of {} x {} pixels have the shape {}; '
                'the model must keep the size'.format(*labels.shape, pictures.shape)
            )
        modes, distances = nearest_modes(pictures, labels, self.modes)
        maps = [segment_by_mode(*pair) for pair in zip(pictures, modes, strict=True)]
        boundary = scores.label_boundaries(labels)
        return dict(
            mode=modes,
            distances=distances,
            confusion=sum(scores.confusion_matrix(labels, m, len(PALETTE)) for m in maps),
            boundary_f1=[scores.boundary_f1(boundary, scores.label_boundaries(m)) for m in maps],
        )

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Scores over the translations of the sources of all ranks."""
        modes = np.concatenate([result['mode'] for result in results])
        shares = np.bincount(modes, minlength=self.modes) / len(modes)
        distances = np.concatenate([result['distances'] for result in results])
        colour, texture = distances.mean(axis=0)
        return {f'share_{mode}': float(share) for mode, share in enumerate(shares)} | dict(
            covered=int((shares >= 1 / (4 * self.modes)).sum()),
            entropy=float(entropy(shares) / np.log(self.modes)),
            kl=float(entropy(shares, np.full(self.modes, 1 / self.modes))),
            modes_per_source=float(np.mean([len(set(result['mode'])) for result in results])),
            distance=float(np.linalg.norm(distances, axis=1).mean()),
            distance_colour=float(colour),
            distance_texture=float(texture),
            foreground_iou=scores.foreground_iou(sum(result['confusion'] for result in results)),
            boundary_f1=float(np.mean(np.concatenate([r['boundary_f1'] for r in results]))),
        )

    def _labels(self, sample: Mapping) -> np.ndarray:
        key = f'img_{self.source_domain}'
        source = self.picture(sample, key)
        labels = scores.segment_by_palette(source, PALETTE)
        if np.abs(PALETTE[labels].astype(int) - source).max() > _FLAT_TOLERANCE:
            raise ValueError(
                f'ModeCoverage: {key} ({sample.get(f"{key}_path")}) is no flat picture of the '
                'synthetic shapes; source_domain must be its domain A, unscaled'
            )
        return labels


def nearest_modes(
    pictures: np.ndarray, labels: np.ndarray, modes: int
) -> tuple[np.ndarray, np.ndarray]:
    """The mode that each translation (N, H, W, 3) of a scene with a label map (H, W) is nearest to.

    Returns:
        tuple: Numbers of the modes (N,), and the distances (N, 2) to them, of colour and of
        texture, in units of [0, 1].
    """
    regions = [_without_margin(labels == label) for label in np.unique(labels)]
    truths = np.stack([render_mode(labels, mode) for mode in range(modes)])
    true, given = (_colour_and_texture(several, regions) for several in (truths, pictures))
    areas = [region.sum() for region in regions]
    # (N, modes, classes, colour or texture, 3) -> (N, modes, colour or texture)
    squared = np.average(((given[:, None] - true) ** 2).sum(axis=-1), axis=2, weights=areas)
    nearest = squared.sum(axis=-1).argmin(axis=1)
    return nearest, np.sqrt(squared[np.arange(len(pictures)), nearest])


def segment_by_mode(picture: np.ndarray, mode: int) -> np.ndarray:
    """Label map (H, W) of the nearest of the mode's colours: dark, bright and in between."""
    dark, bright = np.moveaxis(mode_colours(mode).astype(float), 1, 0)
    palette = np.concatenate([dark, (dark + bright) / 2, bright])
    return scores.segment_by_palette(picture, palette) % len(dark)


def _without_margin(region: np.ndarray) -> np.ndarray:
    inner = binary_erosion(region, np.ones((3, 3)), border_value=1)
    return inner if inner.sum() >= _ENOUGH_PIXELS else region


def _colour_and_texture(pictures: np.ndarray, regions: list[np.ndarray]) -> np.ndarray:
    """Mean colour, and three measures of texture, of each region: (N, regions, 2, 3)."""
    luminance = rgb2gray(pictures)
    down, right = np.diff(luminance, axis=1), np.diff(luminance, axis=2)
    values = []
    for region in regions:
        texture = (
            luminance[:, region].std(axis=1),
            _root_mean_square(down[:, region[1:] & region[:-1]]),
            _root_mean_square(right[:, region[:, 1:] & region[:, :-1]]),
        )
        values.append([pictures[:, region].mean(axis=1) / 255, np.stack(texture, axis=1)])
    return np.moveaxis(np.array(values), 2, 0)


def _root_mean_square(values: np.ndarray) -> np.ndarray:
    # A region of one pixel has no differences, and no texture.
    return np.sqrt((values**2).sum(axis=1) / max(values.shape[1], 1))
