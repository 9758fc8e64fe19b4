"""Which side of a contrast is the lighter one: what self-similarity cannot tell."""

import torch
from torch import Tensor, nn

from sesim_mmagic.functional.precision import full_precision
from sesim_mmagic.registry import MODELS
from sesim_mmagic.utils.checks import check_numbers

from .structure_loss import StructureLoss

#: Deviation of the brightness, in [-1, 1], that counts as contrast: one of 255 steps.
_LEAST_CONTRAST = 2 / 255


@MODELS.register_module()
class BrightnessLoss(StructureLoss):
    """Keeps light and dark from being exchanged; it wants nothing else.

    The self-similarity of a picture is that of its negative, so that nothing in FSeSim or LSeSim
    tells a translator which of the two to paint. With ``r`` the correlation, over positions, of
    the brightness (mean of the channels) of an image and of its translation::

        loss = loss_weight * mean over images of max(0, margin - r)

    A translation that is lighter where its source is costs nothing, whatever its colours and
    contrasts. Contrasts below one grey level (2 / 255) count in proportion, so that a picture of
    one brightness correlates with nothing and gets a small gradient. Leave the loss out where
    light is to become dark. It belongs beside a structure loss (``more_losses`` of a translator);
    in the paper there is none.

    Args:
        loss_weight (float): Factor on the loss. Defaults to 1.
        margin (float): Correlation, in [-1, 1], from which the loss is 0. Defaults to 0.2.

    Raises:
        ValueError: If the weight is negative or the margin out of range.

    >>> loss = BrightnessLoss(margin=0.2)
    >>> image = torch.linspace(-1, 1, 16).reshape(1, 1, 4, 4).expand(1, 3, 4, 4)
    >>> loss(image, 0.1 * image + 0.5).item(), round(loss(image, -image).item(), 4)
    (0.0, 1.2)
    """

    def __init__(self, loss_weight: float = 1.0, margin: float = 0.2) -> None:
        super().__init__()
        check_numbers(self, least=0, loss_weight=loss_weight)
        check_numbers(self, least=-1, most=1, margin=margin)
        self.loss_weight = loss_weight
        self.margin = margin

    def extract(self, images: Tensor, generator: nn.Module | None = None) -> list[Tensor]:
        """Brightness (B, 1, H, W) of images, values in [-1, 1]."""
        return [images.mean(1, keepdim=True)]

    def compare(self, source: list[Tensor], translated: list[Tensor]) -> Tensor:
        """Weighted mean of what the correlations lack, a scalar."""
        with full_precision(source[0], translated[0]) as (first, second):
            first, second = (
                b.flatten(1) - b.flatten(1).mean(1, keepdim=True) for b in (first, second)
            )
            least = _LEAST_CONTRAST * first.shape[1] ** 0.5
            # Each by itself: the product of a large and a tiny one would let gradients explode.
            lengths = first.norm(dim=1).clamp(min=least) * second.norm(dim=1).clamp(min=least)
            correlation = (first * second).sum(1) / lengths
            return self.loss_weight * torch.relu(self.margin - correlation).mean()
