"""The interface of structure losses: any of them fits any translator."""

from abc import ABCMeta, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class StructureLoss(nn.Module, metaclass=ABCMeta):
    """Compares the structure of a source image with that of its translation.

    A loss says which features of images it sees (:meth:`extract`) and how to compare those of two
    batches (:meth:`compare`). A translator extracts once and compares often; everybody else calls
    the loss with two batches of images.

    Images have shape (B, 3, H, W), values in [-1, 1], and the channel order that the model's
    data preprocessor gives. :attr:`channel_order` is the order that the loss expects, None if any
    will do.

    >>> class MeanColour(StructureLoss):
    ...     def extract(self, images, generator=None):
    ...         return [images.mean((2, 3), keepdim=True)]
    ...
    ...     def compare(self, source, translated):
    ...         return (source[0] - translated[0]).abs().mean()
    >>> MeanColour()(torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8))
    tensor(1.)
    """

    channel_order: str | None = None
    #: Whether the loss sees images through the generator that translates them.
    needs_generator: bool = False

    def __init__(self) -> None:
        super().__init__()
        #: The frozen network that the loss sees images through, if there is one.
        self.feature_net: Any = None

    @property
    def trains_with_generator(self) -> bool:
        """Whether parameters of the loss learn from the generator's objective."""
        return any(parameter.requires_grad for parameter in self.parameters())

    def init_weights(self) -> None:
        """Read weights that the loss needs from elsewhere; called once before training."""
        if self.feature_net is not None:
            self.feature_net.init_weights()

    @abstractmethod
    def extract(self, images: Tensor, generator: nn.Module | None = None) -> list[Tensor]:
        """The features of images that the loss sees: maps (B, C, h, w).

        Args:
            images (Tensor): Shape (B, 3, H, W), values in [-1, 1].
            generator (nn.Module, optional): The generator that translates the source; only
                losses with :attr:`needs_generator` want it.
        """

    @abstractmethod
    def compare(self, source: list[Tensor], translated: list[Tensor]) -> Tensor:
        """Weighted distance between the features of two batches, a scalar."""

    def similarity_maps(
        self, images: Tensor, points: Sequence[tuple[float, float]]
    ) -> dict[str, Tensor]:
        """Self-similarity of a few points by layer, see :meth:`FSeSimLoss.similarity_maps`.

        A loss that compares no self-similarity has no maps.
        """
        return {}

    def forward(
        self,
        source: Any,
        translated: Any,
        generator: nn.Module | None = None,
        mode: str = 'images',
    ) -> Tensor:
        """Structure that the translation lost.

        Args:
            source (Tensor): Shape (B, 3, H, W), values in [-1, 1].
            translated (Tensor): Same shape and range; gradients flow through it alone.
            generator (nn.Module, optional): See :meth:`extract`.
            mode (str): 'features' if source and translated are features from :meth:`extract`, not
                images. A distributed wrapper averages gradients of what passes through ``forward``
                alone, hence the mode. Defaults to 'images'.

        Returns:
            Tensor: A non-negative scalar, loss weight included.

        Raises:
            ValueError: If the shapes differ.
        """
        if mode == 'features':
            return self.compare(source, translated)
        if source.shape != translated.shape:
            raise ValueError(
                'source and translated images must have one shape (B, 3, H, W), got '
                f'{tuple(source.shape)} and {tuple(translated.shape)}'
            )
        with torch.no_grad():
            features = self.extract(source.detach(), generator)
        return self.compare(features, self.extract(translated, generator))


class LearnedStructureLoss(StructureLoss):
    """A structure loss with parameters that learn from an objective of their own, :meth:`learn`.

    The generator's objective does not train them, and theirs does not train the generator. In a
    translator their optimizer has the key ``structure_loss``.
    """

    trains_with_generator = False

    @abstractmethod
    def learn(
        self,
        source_features: list[Tensor],
        translated_features: list[Tensor],
        source: Tensor,
        target: Tensor,
    ) -> Tensor:
        """The parameters' own objective, a scalar.

        Args:
            source_features (list[Tensor]): What :meth:`extract` gave for ``source``.
            translated_features (list[Tensor]): The same of its translation, which gets no gradient.
            source (Tensor): Source images, shape (B, 3, H, W), values in [-1, 1].
            target (Tensor): Real images of the target domain, same shape and range.
        """

    def forward(self, *inputs: Any, **settings: Any) -> Tensor:
        """As of any structure loss or, with ``mode='learn'``, the result of :meth:`learn`."""
        if settings.get('mode') == 'learn':
            return self.learn(*inputs)
        return super().forward(*inputs, **settings)
