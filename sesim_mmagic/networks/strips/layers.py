"""How the layers of generators depend on rows of their input.

Only layers of the very types that stand here can be computed: a subclass may see more than its
parent.
"""

import math
from collections.abc import Callable
from copy import copy
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from sesim_mmagic.networks.equalized_layers import EqualizedConv, UpsampleConv
from sesim_mmagic.networks.equalized_layers import ResidualBlock as EqualizedResidualBlock
from sesim_mmagic.networks.layers import BlurDownsample, BlurUpsample, InstanceNorm
from sesim_mmagic.networks.resnet_generator import ResidualBlock, ResNetBlurGenerator
from sesim_mmagic.networks.stylegan2 import StyleGAN2Generator

from .maps import RowMap, StripRun, View, local_map, sum_map


class Residual(nn.Module):
    """A sequence of layers around an identity: ``features + layers(features)``."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)


class StyleNorm(nn.Module):
    """Instance norm with a scale and a shift for every image, each (N, C)."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias


def layer_output(layer: Any, source: RowMap, run: StripRun) -> RowMap:
    """What a layer makes of a map.

    Raises:
        ValueError: If the layer cannot be computed in strips.
    """
    kind = type(layer)
    if kind in _REWRITES:
        return layer_output(_REWRITES[kind](layer), source, run)
    if kind is nn.Sequential:
        return reduce(lambda maps, part: layer_output(part, maps, run), layer, source)
    if kind is Residual:
        # Two maps hang on each: not stored, every block would double the work of those before.
        return run.keep(sum_map(source, layer_output(layer.layers, source, run)), always=True)
    if kind in _NORMS:
        return _normalized(layer, source, run)
    view = _view_of(layer)
    if kind in _CHEAP:
        return local_map(source, _pure(layer), view, source.channels)
    has_noise = kind is UpsampleConv and layer.noise_weight is not None
    make = _with_noise(layer, view, source) if has_noise else _pure(layer)
    return run.keep(local_map(source, make, view, getattr(layer, 'out_channels', source.channels)))


def register_layer(kind: type[nn.Module], rewrite: Callable[[Any], nn.Module]) -> None:
    """Make a layer of another package known.

    Args:
        kind (type): Its very type.
        rewrite (Callable): Takes a layer of the type and returns known ones that compute the same:
            an ``nn.Sequential``, a :class:`Residual`, ... Raises ``ValueError`` where there are
            none.
    """
    _REWRITES[kind] = rewrite


def refusal(layer: nn.Module, reason: str) -> ValueError:
    """The error of a layer that cannot be computed in strips."""
    return ValueError(
        f'{layer} cannot be computed in strips: {reason}. Translate whole pictures, or smaller ones'
    )


def _pure(layer: nn.Module) -> Callable:
    if isinstance(layer, nn.ReLU | nn.LeakyReLU) and layer.inplace:
        layer = copy(layer)
        layer.inplace = False  # the rows may be those of a stored map
    return lambda first, last: layer


def _with_noise(layer: UpsampleConv, view: View, source: RowMap) -> Callable:
    """The layer with the noise of the whole picture, row by row."""
    sides = view.length(source.height), view.length(source.width)
    noise = layer.draw_noise(torch.empty(1, 1, *sides))  # drawn for the shape of a map

    def with_rows(first: int, last: int) -> Callable[[Tensor], Tensor]:
        rows = noise[:, :, view.first_output(first) : view.first_output(last)]
        return lambda features: layer(features, rows.to(features))

    return with_rows


def _normalized(layer: nn.Module, source: RowMap, run: StripRun) -> RowMap:
    statistics = getattr(layer, 'running_mean', None)
    # In training mode beside an eval network: MMagic's models translate so.
    if isinstance(layer, nn.BatchNorm2d) and (layer.training or statistics is None):
        raise refusal(layer, 'it takes statistics of the batch')
    if statistics is not None:
        return local_map(source, _pure(layer), View(), source.channels)
    groups = getattr(layer, 'num_groups', source.channels)
    weight, bias = (getattr(layer, name, None) for name in ('weight', 'bias'))
    return run.normalize(source, groups, getattr(layer, 'eps', 1e-5), weight, bias)


def _view_of(layer: Any) -> View:
    kind = type(layer)
    if kind in _VIEWS:
        return _VIEWS[kind]
    if kind in _PADDINGS:
        return View(padding=_equal(layer, 'padding')[0])
    if kind is nn.Conv2d:
        if isinstance(layer.padding, str) or layer.padding_mode == 'circular':
            raise refusal(layer, f'padding={layer.padding!r}, padding_mode={layer.padding_mode!r}')
        sides = _equal(layer, 'kernel_size', 'stride', 'padding', 'dilation')
        kernel, stride, padding, dilation = sides
        return View(dilation * (kernel - 1) + 1, stride, padding)
    if kind is nn.ConvTranspose2d:
        sides = _equal(layer, 'kernel_size', 'stride', 'padding', 'output_padding', 'dilation')
        kernel, stride, padding, extra, dilation = sides
        kernel = dilation * (kernel - 1) + 1
        if kernel + extra - 2 * padding != stride:
            raise refusal(layer, 'its output is not exactly "stride" times as large as its input')
        return View(factor=stride, reach=math.ceil(max(padding, kernel - 1 - padding) / stride))
    if kind is nn.Upsample:
        (factor,) = _equal(layer, 'scale_factor')
        if factor is None or factor != int(factor) or layer.mode != 'nearest':
            raise refusal(layer, 'only "nearest" by a whole factor can be')
        return View(factor=int(factor))
    if kind is EqualizedConv:
        if layer.blur is not None:
            raise refusal(layer, 'a halving convolution only can as a part of its residual block')
        return View(1 + 2 * layer.padding, padding=layer.padding)
    if kind is EqualizedResidualBlock:
        # Two 3 x 3 convolutions, or from the output back: 3 with stride 2, a blur of 4, 3.
        return View(5, padding=2) if layer.conv2.blur is None else View(8, stride=2, padding=3)
    raise refusal(layer, 'its type is not known')


def _equal(layer: nn.Module, *settings: str) -> list[Any]:
    """The one value of each setting for all sides."""
    values = [getattr(layer, name) for name in settings]
    sides = [set(value) if isinstance(value, tuple) else {value} for value in values]
    if any(len(side) > 1 for side in sides):
        raise refusal(layer, 'unequal sides')
    return [side.pop() for side in sides]


_VIEWS = {
    **dict.fromkeys((nn.ReLU, nn.LeakyReLU, nn.Tanh), View()),
    **dict.fromkeys((BlurUpsample, UpsampleConv), View(factor=2, reach=1)),
    BlurDownsample: View(kernel=3, stride=2, padding=1),
}
_PADDINGS = (nn.ReflectionPad2d, nn.ReplicationPad2d, nn.ZeroPad2d)
_CHEAP = (nn.ReLU, nn.LeakyReLU, nn.Tanh, *_PADDINGS)  # not worth to be stored
_NORMS = (InstanceNorm, StyleNorm, nn.InstanceNorm2d, nn.BatchNorm2d, nn.GroupNorm)
_REWRITES: dict[type, Callable[[Any], nn.Module]] = {
    **dict.fromkeys((nn.Identity, nn.Dropout), lambda layer: nn.Sequential()),
    ResidualBlock: lambda block: Residual(block.conv_block),
    ResNetBlurGenerator: lambda generator: generator.model,
    StyleGAN2Generator: lambda generator: nn.Sequential(
        generator.encoder, generator.decoder, *[nn.Tanh()] * generator.tanh
    ),
}
