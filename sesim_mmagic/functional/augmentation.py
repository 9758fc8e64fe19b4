"""Differentiable augmentation of what a discriminator sees (Zhao et al., NeurIPS 2020)."""

import torch
import torch.nn.functional as F
from torch import Tensor


def augment(
    images: Tensor, colour: bool = False, translation: float = 0.0, cutout: float = 0.0
) -> Tensor:
    """Change each picture of a batch at random; gradients pass through to the images.

    Shown real pictures and translations alike, a discriminator cannot learn the few pictures of a
    small data set by heart, and the generator does not learn the changes. The draws come from
    torch's global generator of the CPU.

    Args:
        images (Tensor): Shape (B, C, H, W), values in [-1, 1].
        colour (bool): Add a number in [-0.5, 0.5] (brightness); multiply the distance from grey by
            one in [0, 2] (saturation), that from the picture's mean by one in [0.5, 1.5]
            (contrast). Defaults to False.
        translation (float): Greatest shift, up or down, left or right, as a share of the side;
            what comes in is 0. Defaults to 0.
        cutout (float): Sides of a rectangle of zeros, as a share of the picture's, whose centre
            lies anywhere in the picture. Defaults to 0.

    Returns:
        Tensor: Same shape; colours may leave [-1, 1].

    >>> images = torch.ones(1, 3, 8, 8)
    >>> augment(images, cutout=0.5).sum() < images.sum()
    tensor(True)
    """
    if colour:
        images = _change_colours(images)
    height, width = images.shape[2:]
    if translation:
        down, right = round(translation * height), round(translation * width)
        padded = F.pad(images, (right, right, down, down))
        places = _draw(len(images), 2 * down + 1, 2 * right + 1)
        shifted = [
            image[:, y : y + height, x : x + width]
            for image, (y, x) in zip(padded, places, strict=True)
        ]
        images = torch.stack(shifted)
    if cutout:
        rows, columns = round(cutout * height), round(cutout * width)
        kept = torch.ones_like(images[:, :1])
        for mask, (y, x) in zip(kept, _draw(len(images), height, width), strict=True):
            top, left = y - rows // 2, x - columns // 2
            mask[:, max(top, 0) : max(top + rows, 0), max(left, 0) : max(left + columns, 0)] = 0
        images = images * kept
    return images


def _change_colours(images: Tensor) -> Tensor:
    draws = torch.rand(3, len(images), 1, 1, 1)
    # Without waiting for the device, which has work to do.
    brightness, saturation, contrast = draws.to(images.device, images.dtype, non_blocking=True)
    images = images + brightness - 0.5
    grey = images.mean(1, keepdim=True)
    images = grey + 2 * saturation * (images - grey)
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (contrast + 0.5) * (images - mean)


def _draw(count: int, rows: int, columns: int) -> list[tuple[int, int]]:
    """Positions of a grid, one for each picture."""
    numbers = torch.randint(rows * columns, (count,)).tolist()
    return [divmod(number, columns) for number in numbers]
