"""Pixel loss: the strictest idea of content, a baseline."""

import torch.nn.functional as F
from torch import Tensor, nn

from sesim_mmagic.registry import MODELS
from sesim_mmagic.utils.checks import check_numbers

from .structure_loss import StructureLoss


@MODELS.register_module()
class PixelLoss(StructureLoss):
    """L1 distance between the pixels of source and translation.

    It ties structure to colour; CVPR 2021, Sec. 2 names it first among content losses::

        loss = loss_weight * mean |source - translated|

    Args:
        loss_weight (float): Factor on the loss. Defaults to 10.

    >>> import torch
    >>> loss = PixelLoss(loss_weight=2.0)
    >>> loss(torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4))
    tensor(2.)
    """

    def __init__(self, loss_weight: float = 10.0) -> None:
        super().__init__()
        check_numbers(self, least=0, loss_weight=loss_weight)
        self.loss_weight = loss_weight

    def extract(self, images: Tensor, generator: nn.Module | None = None) -> list[Tensor]:
        """The images themselves."""
        return [images]

    def compare(self, source: list[Tensor], translated: list[Tensor]) -> Tensor:
        """Weighted mean absolute difference, a scalar."""
        return self.loss_weight * F.l1_loss(translated[0], source[0])
