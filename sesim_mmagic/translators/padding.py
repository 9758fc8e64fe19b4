"""Images of any size for generators that halve and double them."""

import torch.nn.functional as F
from torch import Tensor


def pad_to_multiple(images: Tensor, divisor: int) -> Tensor:
    """Grow images at the bottom and right until both sides are multiples of ``divisor``.

    Borders are reflected, or replicated where an image is too small to reflect. Sides become
    at least two multiples long: a generator reflects its smallest map too.
    """
    height, width = images.shape[2:]
    bottom, right = (
        max(-side % divisor, 2 * divisor - side if divisor > 1 else 0) for side in (height, width)
    )
    if not (bottom or right):
        return images
    mode = 'reflect' if bottom < height and right < width else 'replicate'
    return F.pad(images, (0, right, 0, bottom), mode=mode)
