"""A structure loss of one's own: where edges are and which way they run."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sesim_mmagic.functional.precision import full_precision
from sesim_mmagic.losses import StructureLoss
from sesim_mmagic.registry import MODELS


@MODELS.register_module()
class GradientFieldLoss(StructureLoss):
    """Distance between normalized gradient fields (Haber and Modersitzki, MICCAI 2006).

    With n = (gx, gy) / sqrt(gx^2 + gy^2 + edge^2) of the grey picture, the loss is the mean of
    the squared Frobenius norm of n n^T (source) - n n^T (translation), averaged over scales. The
    product forgets the sign of an edge: a picture and its negative have no distance.

    Args:
        edge (float): Grey levels a pixel, in a range of 2, from which on a slope is an edge rather
            than noise. Defaults to 0.05.
        scales (int): Number of scales, each half the size of the one before. Defaults to 3.
        loss_weight (float): Factor on the loss. Defaults to 10.

    Raises:
        ValueError: If an argument is not positive.
    """

    def __init__(self, edge: float = 0.05, scales: int = 3, loss_weight: float = 10.0) -> None:
        super().__init__()
        if edge <= 0 or scales < 1:
            raise ValueError(
                f'GradientFieldLoss: edge and scales must be positive, got {edge} and {scales}'
            )
        self.edge = edge
        self.scales = scales
        self.loss_weight = loss_weight

    def extract(self, images: Tensor, generator: nn.Module | None = None) -> list[Tensor]:
        """For each scale n n^T, shape (B, 3, h, w): its diagonal, and sqrt(2) times the rest."""
        with full_precision(images) as (images,):  # squares of small slopes underflow in float16
            grey = images.mean(1, keepdim=True)
            return [
                self._products(F.avg_pool2d(grey, 2**i) if i else grey) for i in range(self.scales)
            ]

    def _products(self, grey: Tensor) -> Tensor:
        gy, gx = torch.gradient(grey, dim=(2, 3))
        products = torch.cat([gx * gx, gy * gy, math.sqrt(2) * gx * gy], 1)
        return products / (gx * gx + gy * gy + self.edge**2)

    def compare(self, source: list[Tensor], translated: list[Tensor]) -> Tensor:
        """Weighted distance of the fields, a scalar."""
        pairs = zip(source, translated, strict=True)
        distances = [(s - t).square().sum(1).mean() for s, t in pairs]
        return self.loss_weight * torch.stack(distances).mean()
