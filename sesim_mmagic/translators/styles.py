"""Styles of multi-modal translation: a few numbers that follow N(0, I)."""

import zlib
from pathlib import PurePath

import torch
from torch import Tensor


def draw_styles(count: int, channels: int, seed: int, source: str | None = None) -> Tensor:
    """Styles that the seed fixes, whatever the device, the number of ranks and the order.

    Args:
        count (int): Number of styles, N.
        channels (int): Numbers of a style, S.
        seed (int): Seed.
        source (str, optional): File of a source that is to have styles of its own, told apart by
            its name. Defaults to None: the same styles for every source.

    Returns:
        Tensor: Shape (N, S), from N(0, I); the first ones do not depend on how many follow.
    """
    if source is not None:
        seed = zlib.crc32(f'{seed} {PurePath(source).name}'.encode())
    generator = torch.Generator().manual_seed(seed)
    # One by one: a tensor of another size would be drawn in another order.
    return torch.stack([torch.randn(channels, generator=generator) for _ in range(count)])


def interpolate_styles(first: Tensor, last: Tensor, count: int) -> Tensor:
    """Styles on the straight line from one to another.

    Args:
        first (Tensor): Shape (S,).
        last (Tensor): Shape (S,).
        count (int): Number of styles, both ends included; at least 2.

    Returns:
        Tensor: Shape (count, S).

    Raises:
        ValueError: If the styles do not fit together or there are fewer than two.
    """
    if first.dim() != 1 or first.shape != last.shape or count < 2:
        raise ValueError(
            'an interpolation takes two styles of one length and gives at least 2, got shapes '
            f'{tuple(first.shape)} and {tuple(last.shape)}, count {count}'
        )
    shares = torch.linspace(0, 1, count).to(first)[:, None]
    return torch.lerp(first[None], last[None], shares)


def styles_of_images(styles: Tensor, count: int, channels: int) -> Tensor:
    """Check styles that somebody gave for a batch of images.

    Args:
        styles (Tensor): Shape (N, S), the same for all images, or (B, N, S).
        count (int): Number of images, B.
        channels (int): Numbers of a style, S.

    Returns:
        Tensor: Shape (B, N, S).

    Raises:
        ValueError: If the shape is another.
    """
    shape = tuple(styles.shape)
    if shape[-1:] != (channels,) or len(shape) not in (2, 3) or 0 in shape:
        raise ValueError(
            f'styles must have shape (N, {channels}) or (B, N, {channels}), N at least 1; got '
            f'{shape}'
        )
    if len(shape) == 3 and shape[0] != count:
        raise ValueError(f'there are styles for {shape[0]} images, and {count} images')
    return styles.expand(count, -1, -1)
