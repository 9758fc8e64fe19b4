"""What every structure loss can do, so that any of them fits any translator."""

from abc import ABCMeta, abstractmethod
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

    def init_weights(self) -> None:
        """Read weights that the loss needs from elsewhere; called once before training."""
        for child in self.children():
            if hasattr(child, 'init_weights'):
                child.init_weights()

    @abstractmethod
    def extract(self, images: Tensor) -> Any:
        """What the loss looks at in a batch of images."""

    @abstractmethod
    def compare(self, source: Any, translated: Any) -> Tensor:
        """Weighted distance between what :meth:`extract` gave for two batches, a scalar."""

    def forward(self, source: Tensor, translated: Tensor) -> Tensor:
        """Structure that the translation lost.

        Args:
            source (Tensor): Shape (B, 3, H, W), values in [-1, 1].
            translated (Tensor): Same shape and range; gradients flow through it alone.

        Returns:
            Tensor: A non-negative scalar, loss weight included.

        Raises:
            ValueError: If the shapes differ.
        """
        check_same_shape(source, translated)
        with torch.no_grad():
            source_look = self.extract(source)
        return self.compare(source_look, self.extract(translated))


def check_same_shape(source: Tensor, translated: Tensor) -> None:
    """Raise ``ValueError`` unless both batches of images have one shape."""
    if source.shape != translated.shape:
        raise ValueError(
            'source and translated images must have one shape (B, 3, H, W), got '
            f'{tuple(source.shape)} and {tuple(translated.shape)}'
        )
