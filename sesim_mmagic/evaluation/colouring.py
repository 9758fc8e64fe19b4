"""How well a line drawing is coloured in."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage
from skimage.color import rgb2gray
from skimage.measure import label
from skimage.segmentation import clear_border

from sesim_mmagic.registry import METRICS

from .set_scores import colour_spread
from .translation_metric import TranslationMetric

#: Luminance, in [0, 1], below which a pixel is dark: ink in a drawing.
DARK = 0.5
#: Largest distance of a channel, of 255, between two colours that count as one.
TOLERANCE = 25
SQUARE = np.ones((3, 3), bool)


class Parts(NamedTuple):
    """Parts of a drawing (H, W): ``ink`` and ``ground`` boolean, ``regions`` numbered from 1.

    The regions are what lines enclose: pieces of the paper, connected by sides of pixels, that do
    not touch the picture's border; the ground is the rest of the paper. Neither holds the pixels
    beside ink, diagonal ones too, where a line fades into the paper.
    """

    ink: np.ndarray
    ground: np.ndarray
    regions: np.ndarray


@METRICS.register_module()
class ColouringScores(TranslationMetric):
    """How well translations of line drawings, dark on white, are coloured in; no truth is needed.

    Let ``I``, ``R`` and ``G`` be the pixels of the source's ink, regions and ground
    (:class:`Parts`), ``t(p)`` the translation's colour in [0, 255]³, ``m(p)`` the median colour of
    the region that holds ``p``, channel by channel, and ``|.|`` the largest channel:

    * ``filled`` = share of ``p`` in ``R`` with ``|t(p) - white| > 25``;
    * ``even`` = share of ``p`` in ``R`` with ``|t(p) - m(p)| <= 25``: whether regions have one
      colour, were it white;
    * ``ground_white`` = share of ``p`` in ``G`` with ``|t(p) - white| <= 25``;
    * ``lines_dark`` = share of ``p`` in ``I`` whose luminance is below half of white's;
    * ``colour_spread`` = root of the mean over channels of the variance, over pictures, of the
      mean colour of ``R``, in levels, [0, 127.5]: 0 if all drawings have one colour.

    The shares are in [0, 1]; each is the mean over the pictures that have such pixels. A copy of
    the source has ``filled`` and ``colour_spread`` 0 and the others 1: read all of them. Open
    shapes belong to the ground, and drawings may leave regions white, so that a truth does not
    have 1 everywhere; ``docs/guide/evaluation.md`` has OpenMoji's scores.

    Args:
        target_domain (str): Samples hold ``fake_{target_domain}``, the translation.
        source_domain (str): They hold ``img_{source_domain}``, the drawing, of the same size.
        **kwargs: Those of :class:`TranslationMetric`.

    Raises:
        ValueError: If sizes differ or, on evaluation, no drawing has ink, a region or a ground.
    """

    default_prefix = 'colouring'

    def __init__(self, target_domain: str, source_domain: str, **kwargs: Any) -> None:
        super().__init__(target_domain, source_domain, **kwargs)

    def measure(self, sample: Mapping) -> dict[str, Any]:
        """Scores of one translation, as far as its source has such parts, and its mean colour."""
        drawing, picture = self.pair(sample, self.source_domain)
        return colouring(parts_of(drawing), picture)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Scores over the pictures of all ranks."""
        values = {
            key: np.array([result[key] for result in results if key in result])
            for key in ('filled', 'even', 'ground_white', 'lines_dark', 'colour')
        }
        lacking = [key for key, value in values.items() if not len(value)]
        if lacking:
            raise ValueError(
                f'ColouringScores: no drawing of domain {self.source_domain} has what '
                f'{lacking[0]} is measured on: sources must be dark lines on white that enclose '
                'something; leave this metric out for others'
            )
        spread = colour_spread(values.pop('colour'))
        means = {key: float(value.mean()) for key, value in values.items()}
        return means | dict(colour_spread=spread)


def parts_of(drawing: np.ndarray) -> Parts:
    """Ink, ground and regions of a drawing (H, W, 3), RGB, uint8."""
    ink = rgb2gray(drawing) < DARK
    pieces = label(~ink, connectivity=1)
    regions = clear_border(pieces)
    beside = ndimage.binary_dilation(ink, SQUARE)
    ground = (pieces > 0) & (regions == 0) & ~beside
    return Parts(ink, ground, np.where(beside, 0, regions))


def colouring(parts: Parts, picture: np.ndarray) -> dict[str, Any]:
    """Shares of :class:`ColouringScores` for one picture (H, W, 3), RGB, uint8, and ``colour``.

    ``colour`` is the mean colour (3,) of the regions. What the parts do not allow is left out.
    """
    levels = picture.astype(np.int64)
    is_white = (255 - levels).max(axis=-1) <= TOLERANCE
    scores: dict[str, Any] = {}
    if parts.ink.any():
        scores['lines_dark'] = (rgb2gray(picture)[parts.ink] < DARK).mean()
    if parts.ground.any():
        scores['ground_white'] = is_white[parts.ground].mean()
    inside = parts.regions > 0
    if inside.any():
        numbers, of_region = np.unique(parts.regions[inside], return_inverse=True)
        medians = [ndimage.median(levels[..., c], parts.regions, numbers) for c in range(3)]
        distances = np.abs(levels[inside] - np.stack(medians, axis=-1)[of_region]).max(axis=-1)
        scores['filled'] = 1 - is_white[inside].mean()
        scores['even'] = (distances <= TOLERANCE).mean()
        scores['colour'] = levels[inside].mean(axis=0)
    return scores
