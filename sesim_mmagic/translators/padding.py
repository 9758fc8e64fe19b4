"""Images of any size for generators that halve and double them."""

import torch.nn.functional as F
from torch import Tensor, nn


def pad_to_multiple(images: Tensor, divisor: int, smallest_side: int = 0) -> Tensor:
    """Grow images at the bottom and right until both sides are multiples of ``divisor``.

    Borders are reflected, or replicated where an image is too small to reflect.

    Args:
        images (Tensor): Shape (B, C, H, W).
        divisor (int): Sides become multiples of it.
        smallest_side (int): A multiple of it; no side stays shorter. Defaults to 0.

    Returns:
        Tensor: Shape (B, C, h, w) with h >= H and w >= W.
    """
    height, width = images.shape[2:]
    bottom, right = (max(-side % divisor, smallest_side - side) for side in (height, width))
    if not (bottom or right):
        return images
    mode = 'reflect' if bottom < height and right < width else 'replicate'
    return F.pad(images, (0, right, 0, bottom), mode=mode)


def size_divisor_of(generator: nn.Module) -> int:
    """How often a generator of MMagic or of this package halves images, as a power of two."""
    strided = sum(
        isinstance(layer, nn.Conv2d) and layer.stride == (2, 2) for layer in generator.modules()
    )
    blurs = sum(type(layer).__name__ == 'BlurDownsample' for layer in generator.modules())
    return 2 ** (strided + blurs)
