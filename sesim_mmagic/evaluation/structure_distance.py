"""How much of its source's structure a translation lost."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sesim_mmagic.registry import METRICS, MODELS

from .translation_metric import TranslationMetric, to_batch

# Every position, so that nothing is drawn; directions, as the paper writes it.
ALL_POSITIONS = dict(
    type='sesim_mmagic.FSeSimLoss',
    num_patches=-1,
    distance='cos',
    normalise=True,
    loss_weight=1.0,
)


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
        **kwargs: Those of :class:`TranslationMetric`.

    Raises:
        ValueError: If the loss learns, looks through a generator or draws positions.
    """

    default_prefix = 'structure'

    def __init__(
        self, target_domain: str, source_domain: str, *, loss: dict = ALL_POSITIONS, **kwargs: Any
    ) -> None:
        super().__init__(target_domain, source_domain, **kwargs)
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
        keys = f'img_{self.source_domain}', f'fake_{self.target_domain}'
        source, translated = (self._network_input(sample, key) for key in keys)
        if source.shape != translated.shape:
            sizes = ['{} x {}'.format(*image.shape[2:]) for image in (source, translated)]
            path = sample.get(f'img_{self.source_domain}_path')
            raise ValueError(
                f'StructureDistance: the source {path} has {sizes[0]} pixels, its translation '
                f'{sizes[1]}; they must have one size'
            )
        self.loss.to(self.device)
        distance = self.loss.compare(self.loss.extract(source), self.loss.extract(translated))
        return dict(distance=float(distance))

    def _network_input(self, sample: Mapping, key: str) -> Tensor:
        """The picture as saved, (1, 3, H, W) in [-1, 1], in the loss's order of channels."""
        batch = to_batch(self.picture(sample, key), self.device) / 127.5 - 1
        return batch if self.loss.channel_order == 'rgb' else batch.flip(1)
