"""Pictures of any size through a network, strip by strip, as if it had seen them whole.

Normalization looks at a whole map: tiles that are translated one by one have other means and
variances and do not fit together. Here each norm first gets the moments of its whole map from one
pass over strips of it; then strips are all that the layers behind it need. The result is that of
the whole picture up to rounding. :mod:`.row_maps` does the work, :mod:`.strip_layers` knows layers.
"""

import math

import torch
from torch import Tensor, nn

from .munit_generator import AdaptiveResidualBlock, MUNITGenerator
from .row_maps import LocalMap, Plan, RowMap, StoredMap, StripRun, SumMap, Window
from .strip_layers import layer_output, register_layers


class StyledDecoder(nn.Module):
    """The decoder of a multi-modal generator with its style: contents alone go in.

    Args:
        generator (MUNITGenerator): Generator of the target domain.
        style (Tensor): Shape (N, style_channels), see :meth:`MUNITGenerator.decode`.

    Raises:
        ValueError: If the style has another shape.
    """

    def __init__(self, generator: MUNITGenerator, style: Tensor) -> None:
        super().__init__()
        if style.ndim != 2 or style.shape[1] != generator.style_channels:
            raise ValueError(
                f'styles must have the shape (N, {generator.style_channels}), got '
                f'{tuple(style.shape)}'
            )
        self.generator = generator
        self.register_buffer('style', style)
        self.training = generator.training

    def forward(self, content: Tensor) -> Tensor:
        """Contents (B, C, h, w) to images, see :meth:`MUNITGenerator.decode`."""
        return self.generator.decode(content, self.style)


@torch.no_grad()
def run_in_strips(network: nn.Module, image: Tensor, rows: int = 256) -> Tensor:
    """What ``network(image)`` is, without a whole map of full resolution in memory.

    Most of the work of a generator is done at low resolution. Those maps are stored, where the
    image is; maps larger than a quarter of the largest one are computed again, strip by strip, for
    every norm behind them. With the paper's generator (64 channels) that takes about half more
    time. At once there are stored three maps of the residual blocks, 48 numbers a pixel, where the
    whole pass holds more than 400, and a strip of the largest maps on the network's device.

    Translate with a multi-modal model in two steps, the second of them for each style::

        content = run_in_strips(source_generator.content_encoder, image)
        translation = run_in_strips(StyledDecoder(target_generator, style), content)

    Args:
        network (nn.Module): A generator of this package or MMagic's ``ResnetGenerator``, a
            ``nn.Sequential`` of their layers, or a :class:`StyledDecoder`; in eval mode.
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
    plan = Plan()
    result = layer_output(network, RowMap(*image.shape[1:]), plan)
    count = math.ceil(max(image.shape[2], result.height) / rows)
    like = next(network.parameters(), image)
    run = StripRun(count, image.device, like.device, plan.largest)
    return run.computed(layer_output(network, StoredMap(image, like.device, like.dtype), run))


def can_run_in_strips(network: nn.Module) -> bool:
    """Whether :func:`run_in_strips` knows all layers of a network, as they are set."""
    if any(_has_hooks(layer) for layer in network.modules()):
        return False
    try:
        layer_output(network, RowMap(3, 256, 256), Plan())
    except ValueError:
        return False
    return True


def _has_hooks(layer: nn.Module) -> bool:
    """Whether a convolution does more than its weights say; strips would pass that over."""
    weight = getattr(layer, 'weight', None)
    is_convolution = isinstance(weight, Tensor) and weight.dim() == 4
    return is_convolution and bool(layer._forward_pre_hooks or layer._forward_hooks)


@register_layers(StyledDecoder)
def _styled_decoder(decoder, content, run):
    generator, style = decoder.generator, decoder.style
    features = content
    for block, affine in zip(generator.blocks, generator.mlp(style).unbind(1), strict=True):
        features = _adaptive_block(block, features, run, affine)
    return layer_output(generator.up_path, features, run)


@register_layers(MUNITGenerator, AdaptiveResidualBlock)
def _styleless(layer, source, run):
    kind = type(layer).__name__
    raise ValueError(
        f'{kind} cannot be computed in strips without its style: run its content_encoder first, '
        'then StyledDecoder(generator, style)'
    )


def _adaptive_block(block, features, run, affine):
    hidden = features
    for index, conv in enumerate((block.conv1, block.conv2)):
        scale, shift = affine[:, index].unbind(1)
        hidden = layer_output(conv, hidden, run)
        hidden = run.normalize(hidden, hidden.channels, 1e-5, scale, shift)
        if index == 0:
            hidden = LocalMap(hidden, torch.relu, Window())
    return run.keep(SumMap(features, hidden), always=True)
