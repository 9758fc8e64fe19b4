"""What every structure loss can do, so that any of them fits any translator."""

from abc import ABCMeta, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class StructureLoss(nn.Module, metaclass=ABCMeta):
    """Compares the structure of a source image with that of its translation.

    A loss says how to look at images (:meth:`extract`) and how to compare two looks
    (:meth:`compare`). A translator may extract once and compare often; everybody else calls
    the loss with two batches of images.

    Images have shape (B, 3, H, W), values in [-1, 1], and the channel order that the model's
    data preprocessor gives (:attr:`channel_order` is what the loss expects, None if it does
    not care).
    """

    channel_order: str | None = None
    #: Whether the loss looks at images through the generator that translates them.
    needs_generator: bool = False

    def init_weights(self) -> None:
        """Read weights that the loss needs from elsewhere; called once before training."""
        for child in self.children():
            if hasattr(child, 'init_weights'):
                child.init_weights()

    @abstractmethod
    def extract(self, images: Tensor, generator: nn.Module | None = None) -> list[Tensor]:
        """What the loss looks at in a batch of images, its look: maps (B, C, h, w).

        Args:
            images (Tensor): Shape (B, 3, H, W), values in [-1, 1].
            generator (nn.Module, optional): The generator that translates the source; only
                losses with :attr:`needs_generator` want it.
        """

    @abstractmethod
    def compare(self, source: list[Tensor], translated: list[Tensor]) -> Tensor:
        """Weighted distance between what :meth:`extract` gave for two batches, a scalar."""

    def forward(
        self, source: Tensor, translated: Tensor, generator: nn.Module | None = None
    ) -> Tensor:
        """Structure that the translation lost.

        Args:
            source (Tensor): Shape (B, 3, H, W), values in [-1, 1].
            translated (Tensor): Same shape and range; gradients flow through it alone.
            generator (nn.Module, optional): See :meth:`extract`.

        Returns:
            Tensor: A non-negative scalar, loss weight included.

        Raises:
            ValueError: If the shapes differ.
        """
        check_same_shape(source, translated)
        with torch.no_grad():
            source_look = self.extract(source.detach(), generator)
        return self.compare(source_look, self.extract(translated, generator))


class LearnedStructureLoss(StructureLoss):
    """A structure loss with parameters that learn from an objective of their own.

    They learn nothing from the generator's loss, and the generator nothing from theirs
    (:meth:`learn`). In a translator their optimizer has the key ``structure_loss``.
    """

    #: Whether :meth:`learn` wants augmented views of the images, ``img_{domain}_aug``.
    use_augmented_view: bool = False

    @abstractmethod
    def learn(
        self,
        anchor: list[Tensor],
        positives: Sequence[list[Tensor]],
        negatives: Sequence[list[Tensor]],
    ) -> Tensor:
        """The parameters' own objective, a scalar.

        Args:
            anchor: What :meth:`extract` gave for images, detached as all the others are.
            positives: Looks at images of the same structure.
            negatives: As many looks at images of another structure.
        """

    def forward(self, *looks: Any, learn: bool = False) -> Tensor:
        """Structure that the translation lost or, if ``learn``, the result of :meth:`learn`.

        A distributed wrapper has one entry for both; only :meth:`learn` needs to pass it.
        """
        return self.learn(*looks) if learn else super().forward(*looks)


def check_same_shape(source: Tensor, translated: Tensor) -> None:
    """Raise ``ValueError`` unless both batches of images have one shape."""
    if source.shape != translated.shape:
        raise ValueError(
            'source and translated images must have one shape (B, 3, H, W), got '
            f'{tuple(source.shape)} and {tuple(translated.shape)}'
        )
