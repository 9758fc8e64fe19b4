"""Running a network in strips."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from sesim_mmagic.networks.munit_generator import MUNITGenerator

from .layers import Residual, StyleNorm, layer_output, register_layer
from .maps import RowMap, StripRun, stored_map


class StyledDecoder(nn.Module):
    """The decoder of a multi-modal generator with its style (N, S): contents alone go in.

    Raises:
        ValueError: If the style has another shape.
    """

    style: Tensor

    def __init__(self, generator: MUNITGenerator, style: Tensor) -> None:
        super().__init__()
        generator.check_style(style)
        self.generator = generator
        self.register_buffer('style', style)
        self.training = generator.training

    def forward(self, content: Tensor) -> Tensor:
        """Contents (B, C, h, w) to images, see :meth:`MUNITGenerator.decode`."""
        return self.generator.decode(content, self.style)


@torch.no_grad()
def run_in_strips(network: nn.Module, image: Tensor, rows: int = 256) -> Tensor:
    """What ``network(image)`` is, without a whole map of full resolution in memory.

    With the paper's generator (64 channels) that takes about half more time. At once there are
    stored three maps of the residual blocks, 48 numbers a pixel, where the whole pass holds more
    than 400, and a strip of the largest maps on the network's device.

    Translate with a multi-modal model in two steps, the second of them for each style::

        content = run_in_strips(source_generator.content_encoder, image)
        translation = run_in_strips(StyledDecoder(target_generator, style), content)

    Args:
        network (nn.Module): A generator of this package, an ``nn.Sequential`` of its layers, a
            :class:`StyledDecoder`, or what :func:`register_layer` made known; in eval mode.
        image (Tensor): Shape (B, C, H, W), what the network takes, on any device.
        rows (int): Rows of the picture that a strip covers. Fewer take less memory and, since
            strips overlap, more time. Defaults to 256.

    Returns:
        Tensor: What the network gives, in its type, on the image's device.

    Raises:
        ValueError: If the network has a layer that cannot be computed in strips or is in training
            mode, the image has no four dimensions or ``rows`` is not positive.
    """
    if network.training:
        raise ValueError('run_in_strips works in eval mode only: call network.eval() first')
    if image.ndim != 4:
        raise ValueError(f'run_in_strips takes images (B, C, H, W), got {tuple(image.shape)}')
    if rows < 1:
        raise ValueError(f'rows must be positive, got {rows}')
    plan = StripRun()
    height = layer_output(network, RowMap(*image.shape[1:]), plan).height
    count = math.ceil(max(image.shape[2], height) / rows)
    like = next(network.parameters(), image)
    run = StripRun(count, image.device, like.device, plan.largest)
    return run.computed(layer_output(network, stored_map(image, like.device, like.dtype), run))


def can_run_in_strips(network: nn.Module) -> bool:
    """Whether :func:`run_in_strips` knows all layers of a network, as they are set."""
    # A hook may change what a layer does with its weights: strips would pass that over.
    hooked = [m for m in network.modules() if m._forward_pre_hooks or m._forward_hooks]
    if any(getattr(layer, 'weight', None) is not None for layer in hooked):
        return False
    try:
        layer_output(network, RowMap(3, 256, 256), StripRun())
    except ValueError:
        return False
    return True


def _layers_of(decoder: StyledDecoder) -> nn.Sequential:
    generator, layers = decoder.generator, []
    blocks: Any = generator.blocks  # a ModuleList does not say of what
    for block, affine in zip(blocks, generator.mlp(decoder.style).unbind(1), strict=True):
        first, second = (StyleNorm(*norm.unbind(1)) for norm in affine.unbind(1))
        layers.append(Residual(block.conv1, first, nn.ReLU(), block.conv2, second))
    return nn.Sequential(*layers, generator.up_path)


register_layer(StyledDecoder, _layers_of)
