"""How the layers of generators depend on rows of their input, for :mod:`.strips`.

A layer that sees a neighbourhood says how far it sees and is then called as it is; norms ask the
run for moments of the whole map. Only layers of the very types that are registered here can be
computed: a subclass may see more than its parent.
"""

import math
from collections.abc import Callable

import torch
from torch import nn

from .equalized_layers import EqualizedConv, UpsampleConv
from .equalized_layers import ResidualBlock as EqualizedResidualBlock
from .layers import BlurDownsample, BlurUpsample, InstanceNorm
from .resnet_generator import ResidualBlock, ResNetBlurGenerator
from .row_maps import Enlargement, LocalMap, NoisyMap, Plan, RowMap, SumMap, Window
from .stylegan2 import StyleGAN2Generator

# Layer type, or its dotted name if it is of a package that is not imported here -> what makes
# of the layer, its input and the run its output.
_LAYERS: dict[type | str, Callable[[nn.Module, RowMap, Plan], RowMap]] = {}


def layer_output(layer: nn.Module, source: RowMap, run: Plan) -> RowMap:
    kind = type(layer)
    make = _LAYERS.get(kind) or _LAYERS.get(f'{kind.__module__}.{kind.__qualname__}')
    if make is None:
        raise _refused(layer, 'its type is not known')
    return make(layer, source, run)


def _refused(layer: nn.Module, reason: str) -> ValueError:
    return ValueError(
        f'{layer} cannot be computed in strips: {reason}. Translate whole pictures, or smaller ones'
    )


def register_layers(*kinds: type | str):
    """Register what makes the output of layers of these very types."""

    def register(make):
        _LAYERS.update(dict.fromkeys(kinds, make))
        return make

    return register


# --- Containers -----------------------------------------------------------------------------------


@register_layers(nn.Sequential)
def _sequential(layers, source, run):
    for layer in layers:
        source = layer_output(layer, source, run)
    return source


@register_layers(nn.Identity, nn.Dropout)
def _nothing(layer, source, run):
    return source


@register_layers(
    ResNetBlurGenerator,
    'mmagic.models.editors.cyclegan.cyclegan_generator.ResnetGenerator',
)
def _resnet_generator(generator, source, run):
    return layer_output(generator.model, source, run)


@register_layers(StyleGAN2Generator)
def _stylegan2_generator(generator, source, run):
    features = layer_output(generator.decoder, layer_output(generator.encoder, source, run), run)
    return LocalMap(features, torch.tanh, Window()) if generator.tanh else features


@register_layers(ResidualBlock)
def _residual_block(block, source, run):
    # Two maps hang on each: not stored, every block would double the work of those before.
    return run.keep(SumMap(source, layer_output(block.conv_block, source, run)), always=True)


@register_layers('mmagic.models.editors.cyclegan.cyclegan_modules.ResidualBlockWithDropout')
def _mmagic_residual_block(block, source, run):
    return run.keep(SumMap(source, layer_output(block.block, source, run)), always=True)


@register_layers('mmcv.cnn.bricks.conv_module.ConvModule')
def _conv_module(module, source, run):
    if tuple(module.order) != ('conv', 'norm', 'act'):
        raise _refused(module, f'the order of its layers is {module.order}')
    parts = [
        module.padding_layer if module.with_explicit_padding else None,
        module.conv,
        module.norm if module.with_norm else None,
        module.activate if module.with_activation else None,
    ]
    return _sequential([part for part in parts if part is not None], source, run)


# --- Layers that see a neighbourhood --------------------------------------------------------------


@register_layers(nn.ReLU, nn.LeakyReLU, nn.Tanh)
def _pointwise(layer, source, run):
    return LocalMap(source, layer, Window())


@register_layers(nn.ReflectionPad2d, nn.ReplicationPad2d, nn.ZeroPad2d)
def _padding(layer, source, run):
    padding = _single(layer, layer.padding, 'sides with different padding')
    return LocalMap(source, layer, Window(padding=padding))


@register_layers(nn.Conv2d)
def _conv(layer, source, run):
    if isinstance(layer.padding, str) or layer.padding_mode == 'circular':
        raise _refused(layer, f'padding={layer.padding!r}, padding_mode={layer.padding_mode!r}')
    kernel, stride, padding, dilation = _single_each(
        layer, layer.kernel_size, layer.stride, layer.padding, layer.dilation
    )
    view = Window(dilation * (kernel - 1) + 1, stride, padding)
    return run.keep(LocalMap(source, layer, view, layer.out_channels))


@register_layers(nn.ConvTranspose2d, 'mmcv.cnn.bricks.wrappers.ConvTranspose2d')
def _transposed_conv(layer, source, run):
    kernel, stride, padding, extra, dilation = _single_each(
        layer, layer.kernel_size, layer.stride, layer.padding, layer.output_padding, layer.dilation
    )
    kernel = dilation * (kernel - 1) + 1
    if kernel + extra - 2 * padding != stride:
        raise _refused(layer, 'its output is not exactly "stride" times as large as its input')
    view = Enlargement(stride, math.ceil(max(padding, kernel - 1 - padding) / stride))
    return run.keep(LocalMap(source, layer, view, layer.out_channels))


@register_layers(nn.Upsample)
def _upsample(layer, source, run):
    factor = layer.scale_factor
    if factor is None or factor != int(factor) or layer.mode not in ('nearest', 'bilinear'):
        raise _refused(layer, 'only "nearest" and "bilinear" by a whole factor can be')
    if layer.align_corners:
        raise _refused(layer, 'align_corners makes every position depend on the size')
    view = Enlargement(int(factor), reach=int(layer.mode == 'bilinear'))
    return run.keep(LocalMap(source, layer, view))


@register_layers(BlurDownsample)
def _blur_downsample(layer, source, run):
    return run.keep(LocalMap(source, layer, Window(kernel=3, stride=2, padding=1)))


@register_layers(BlurUpsample)
def _blur_upsample(layer, source, run):
    return run.keep(LocalMap(source, layer, Enlargement(2, reach=1)))


@register_layers(EqualizedConv)
def _equalized_conv(layer, source, run):
    if layer.blur is not None:
        raise _refused(layer, 'a halving convolution only can as a part of its residual block')
    view = Window(kernel=1 + 2 * layer.padding, padding=layer.padding)
    return run.keep(LocalMap(source, layer, view, len(layer.weight)))


@register_layers(EqualizedResidualBlock)
def _equalized_residual_block(block, source, run):
    # Two 3 x 3 convolutions, or from the output back: 3 wide with stride 2, a blur of 4, 3 wide.
    halves = block.conv2.blur is not None
    view = Window(kernel=8, stride=2, padding=3) if halves else Window(kernel=5, padding=2)
    return run.keep(LocalMap(source, block, view, len(block.conv2.weight)))


@register_layers(UpsampleConv)
def _upsample_conv(layer, source, run):
    kind = LocalMap if layer.noise_weight is None else NoisyMap
    return run.keep(kind(source, layer, Enlargement(2, reach=1), len(layer.weight)))


# --- Layers that see the whole map ----------------------------------------------------------------


@register_layers(InstanceNorm)
def _instance_norm(layer, source, run):
    return run.normalize(source, source.channels, 1e-5)


@register_layers(nn.InstanceNorm2d, nn.BatchNorm2d)
def _norm(layer, source, run):
    if layer.running_mean is not None:
        return LocalMap(source, layer, Window())
    if isinstance(layer, nn.BatchNorm2d):
        raise _refused(layer, 'it takes statistics of the batch')
    return run.normalize(source, source.channels, layer.eps, layer.weight, layer.bias)


@register_layers(nn.GroupNorm)
def _group_norm(layer, source, run):
    return run.normalize(source, layer.num_groups, layer.eps, layer.weight, layer.bias)


def _single(layer, values, reason='unequal sides'):
    """The one value of all sides."""
    values = {values} if isinstance(values, int) else set(values)
    if len(values) > 1:
        raise _refused(layer, reason)
    return values.pop()


def _single_each(layer, *values):
    return [_single(layer, value) for value in values]
