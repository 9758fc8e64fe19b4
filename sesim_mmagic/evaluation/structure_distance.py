"""How much of its source's structure a translation lost."""

from collections.abc import Mapping
from itertools import pairwise, product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sesim_mmagic.registry import METRICS, MODELS
from sesim_mmagic.utils.checks import check_ints

from .translation_metric import TranslationMetric, to_batch

# Every position, so that nothing is drawn; directions, as the paper writes it.
ALL_POSITIONS = dict(
    type='sesim_mmagic.FSeSimLoss',
    num_patches=-1,
    distance='cos',
    normalize=True,
    loss_weight=1.0,
)
# Even parts are never below half of this: 2 x 2 positions of VGG16's deepest layer.
SMALLEST_TILE = 64


@METRICS.register_module()
class StructureDistance(TranslationMetric):
    """Self-similarity distance from sources to their translations; needs no truth.

    Mean over pictures, 0 for a copy of the source: so it says something beside a score of
    realism only. ``FSeSimLoss`` is not symmetric: the translation selects the keys that count.
    Who trains with a loss of this kind optimises this score; compare such methods by another.

    Args:
        target_domain (str): Samples hold ``fake_{target_domain}``.
        source_domain (str): Samples hold ``img_{source_domain}``, of the same size.
        loss (dict): Config of a structure loss without parameters that learn or positions
            that are drawn.
            Defaults to ``FSeSimLoss`` at every position, cosine, weight 1, on VGG16 with
            torchvision's weights. Its memory grows with the fourth power of the pictures' side.
        tile_size (int, optional): Largest side in pixels that is compared as a whole, 64 or
            more. A picture beyond it is cut into tiles of sides as even as possible, none larger,
            without overlap; each is compared by itself, and the mean is weighted by pixels. What
            lies in different tiles is never compared, so only scores of one ``tile_size`` do
            compare. Defaults to None: always the whole picture.
        **kwargs: Those of :class:`TranslationMetric`.

    Raises:
        ValueError: If the loss learns, looks through a generator or draws positions, or if
            ``tile_size`` is too small.
    """

    default_prefix = 'structure'

    def __init__(
        self,
        target_domain: str,
        source_domain: str,
        *,
        loss: dict = ALL_POSITIONS,
        tile_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(target_domain, source_domain, **kwargs)
        check_ints(self, SMALLEST_TILE, (None,), tile_size=tile_size)
        self.tile_size = tile_size
        self.loss = MODELS.build(loss).eval()
        name = type(self.loss).__name__
        learns = next(self.loss.parameters(), None) is not None
        if learns or getattr(self.loss, 'needs_generator', False):
            raise ValueError(
                f'StructureDistance: {name} compares by weights that a training learns, which the '
                'metric does not have; take one with fixed features, as FSeSimLoss'
            )
        if getattr(self.loss, 'num_patches', -1) != -1:
            raise ValueError(
                f'StructureDistance: {name} draws num_patches={self.loss.num_patches} positions, '
                'another score every time; set num_patches=-1 for all of them'
            )

    def init_weights(self) -> None:
        """Read the weights of the loss's feature network."""
        self.loss.init_weights()

    @torch.no_grad()
    def measure(self, sample: Mapping) -> dict[str, float]:
        """Distance of one translation from its source.

        Raises:
            ValueError: If the sample lacks one of them, or their sizes differ.
        """
        pictures = self.pair(sample, self.source_domain)
        source, translated = (self._network_input(picture) for picture in pictures)
        self.loss.to(self.device)
        tiles = cut_tiles(source.shape[2], source.shape[3], self.tile_size)
        distances = [self._compare(source[tile], translated[tile]) for tile in tiles]
        pixels = [source[tile].numel() for tile in tiles]
        return dict(distance=float(np.average(distances, weights=pixels)))

    def _compare(self, source: Tensor, translated: Tensor) -> float:
        return float(self.loss.compare(self.loss.extract(source), self.loss.extract(translated)))

    def _network_input(self, picture: np.ndarray) -> Tensor:
        """A picture as saved, (1, 3, H, W) in [-1, 1], in the loss's order of channels."""
        batch = to_batch(picture, self.device) / 127.5 - 1
        return batch if self.loss.channel_order == 'rgb' else batch.flip(1)


def cut_tiles(height: int, width: int, tile_size: int | None) -> list[tuple]:
    """Indices of the tiles of a batch (B, C, H, W): sides at most ``tile_size``, even to a pixel.

    No side of a tile is below ``tile_size // 2``, unless it is the picture's own.
    """
    cuts = []
    for side in (height, width):
        count = -(-side // (tile_size or side))
        edges = [side * i // count for i in range(count + 1)]
        cuts.append([slice(*ends) for ends in pairwise(edges)])
    return [(..., row, column) for row, column in product(*cuts)]
