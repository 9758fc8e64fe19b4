"""A view of a picture: other colours, the same structure at the same places."""

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

# Of the authors: how far a factor may leave 1, and how far hue may turn, as a share of the circle.
STRENGTH, HUE = 0.5, 0.3


def appearance_view(picture: Tensor, generator: torch.Generator, colour_map: float = 0.0) -> Tensor:
    """Jitter of brightness, contrast, saturation (0.5) and hue (0.3), in random order.

    All draws come from ``generator``, a handful for each picture; the pixels stay on their device.
    The values are those of ``ColorJitter`` on Pillow's pictures, which the authors use.

    Args:
        picture (Tensor): Shape (3, H, W), RGB, uint8.
        generator (torch.Generator): On the CPU.
        colour_map (float): Probability that :func:`map_colours` comes first. Defaults to 0.

    Returns:
        Tensor: Shape (3, H, W), RGB, uint8.

    >>> picture = torch.full((3, 2, 2), 100, dtype=torch.uint8)
    >>> view = appearance_view(picture, torch.Generator().manual_seed(0))
    >>> view.shape, view.dtype
    (torch.Size([3, 2, 2]), torch.uint8)
    """
    draws = torch.rand(5, generator=generator).tolist()
    if draws[0] < colour_map:
        picture = map_colours(picture, generator)
    factors = [1 + STRENGTH * (2 * draw - 1) for draw in draws[1:4]]
    steps = [
        lambda image: F.adjust_brightness(image, factors[0]),
        lambda image: F.adjust_contrast(image, factors[1]),
        lambda image: F.adjust_saturation(image, factors[2]),
        lambda image: turn_hue(image, HUE * (2 * draws[4] - 1)),
    ]
    for number in torch.randperm(4, generator=generator).tolist():
        picture = steps[number](picture)
    return picture


def turn_hue(picture: Tensor, share: float) -> Tensor:
    """Turn hue by a share of the circle, in Pillow's 256 steps of it.

    Steps matter: torchvision turns tensors continuously, by up to 16 levels elsewhere.

    Args:
        picture (Tensor): Shape (3, H, W), RGB, uint8.
        share (float): From -1 to 1.

    Returns:
        Tensor: Shape (3, H, W), uint8.

    >>> turn_hue(torch.tensor([255, 0, 0]).byte().view(3, 1, 1), 1 / 3).flatten()
    tensor([  0, 255,   0], dtype=torch.uint8)
    """
    red, green, blue = picture.float()
    value = torch.maximum(torch.maximum(red, green), blue)
    span = value - torch.minimum(torch.minimum(red, green), blue)
    sixths = torch.where(
        red == value,
        (green - blue) / span.clamp_min(1),
        torch.where(
            green == value,
            2 + (blue - red) / span.clamp_min(1),
            4 + (red - green) / span.clamp_min(1),
        ),
    )
    hue = (255 * ((sixths / 6 + 1) % 1)).floor()
    saturation = (255 * span / value.clamp_min(1)).floor() / 255
    sixths = (hue + int(255 * share)) % 256 * 6 / 255
    channels = []
    for offset in (5, 3, 1):  # of red, green and blue on the circle
        place = (offset + sixths) % 6
        channels.append(value * (1 - saturation * torch.minimum(place, 4 - place).clamp(0, 1)))
    return torch.stack(channels).round().to(picture.dtype)


def map_colours(picture: Tensor, generator: torch.Generator) -> Tensor:
    """Give each channel a random curve, and the channels a random order: grey gets colours too.

    A curve is a cubic Bézier polynomial from 0 to 255 or from 255 to 0 whose inner control values
    are uniform in between, as for intensities in Models Genesis (Zhou et al., MICCAI 2019). It
    never turns back: rising or falling, it keeps the edges of the channel.

    Args:
        picture (Tensor): Shape (3, H, W), uint8.
        generator (torch.Generator): On the CPU.

    Returns:
        Tensor: Shape (3, H, W), uint8.
    """
    level = torch.linspace(0, 1, 256)
    first, second = torch.rand(2, 3, 1, generator=generator)
    curves = 3 * level * (1 - level) * ((1 - level) * first + level * second) + level**3
    falls = torch.rand(3, 1, generator=generator) < 0.5
    curves = (255 * torch.where(falls, curves.flip(1), curves)).round()
    curves = curves.to(picture.device, picture.dtype, non_blocking=True)
    order = torch.randperm(3, generator=generator).tolist()
    return torch.stack([curves[i][picture[i].long()] for i in order])
