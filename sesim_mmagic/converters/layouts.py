"""What the tensors of each layer are called in published files: one table, read both ways.

A network of this package, or of MMagic, has its layers in the order of the files.
"""

from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor, nn

from sesim_mmagic.networks import StyleGAN2Discriminator, StyleGAN2Generator
from sesim_mmagic.networks.equalized_layers import (
    TAPS,
    EqualizedConv,
    EqualizedLinear,
    UpsampleConv,
)
from sesim_mmagic.networks.layers import BlurDownsample, BlurUpsample, blur_kernel

_BLUR = blur_kernel(TAPS)
_DOUBLING = 4 * _BLUR  # of four positions one is not empty
#: A tensor here, and the index that gives it the shape it has in files.
_WEIGHT, _BIAS = ('weight', (...,)), ('bias', (...,))
_BIAS_OF_MAPS = ('bias', (None, ..., None, None))
_PLAIN = {'weight': _WEIGHT, 'bias': _BIAS}

#: Tensors of a layer by their names in files, in that order: tensors of the layer here, blur
#: kernels, which are code here, or None for statistics that PyTorch counted until 0.4, which
#: nothing ever used.
_TENSORS: dict[type[nn.Module], dict] = {
    nn.Conv2d: _PLAIN,
    nn.ConvTranspose2d: _PLAIN,
    nn.Linear: _PLAIN,
    EqualizedLinear: _PLAIN,
    nn.InstanceNorm2d: dict(running_mean=None, running_var=None, num_batches_tracked=None),
    BlurDownsample: {'filt': blur_kernel((1, 2, 1))},
    BlurUpsample: {'filt': _DOUBLING},
    EqualizedConv: {'0.weight': _WEIGHT, '1.bias': _BIAS_OF_MAPS},
    UpsampleConv: {
        'conv.weight': ('weight', (None,)),
        'conv.blur.kernel': _DOUBLING,
        'noise.weight': ('noise_weight', (...,)),
        'activate.bias': _BIAS_OF_MAPS,
    },
}
_TENSORS_IF_HALVING = {'0.kernel': _BLUR, '1.weight': _WEIGHT, '2.bias': _BIAS_OF_MAPS}


class Slot(NamedTuple):
    """One tensor of a network: (in published files, here)."""

    #: Here empty if it has no place here.
    names: tuple[str, str]
    #: Of its shape and type, on the device 'meta'; of blur kernels the values count.
    tensors: tuple[Tensor, Tensor]


def layout(network: nn.Module) -> Iterator[Slot]:
    """Tensors of a network on the device 'meta', in the order of published files."""
    channels = 0
    for theirs, ours, layer in _layers(network):
        tensors = next((t for kind, t in _TENSORS.items() if isinstance(layer, kind)), {})
        if isinstance(layer, EqualizedConv) and layer.blur is not None:
            tensors = _TENSORS_IF_HALVING
        for key, entry in tensors.items():
            name = f'{theirs}.{key}'
            if entry is None:
                norm = nn.InstanceNorm2d(channels, track_running_stats=True, device='meta')
                entry = norm.get_buffer(key)
            if isinstance(entry, Tensor):
                entry = entry.expand(channels, 1, -1, -1) if key == 'filt' else entry
                yield Slot((name, ''), (entry, entry))
            elif (tensor := getattr(layer, entry[0])) is not None:
                channels = len(tensor)
                yield Slot((name, f'{ours}.{entry[0]}'), (tensor[entry[1]], tensor))


def _layers(network: nn.Module) -> Iterator[tuple[str, str, nn.Module]]:
    """Layers of a network in order, with their names in files and here."""
    if type(network).__module__.startswith('mmagic.'):
        yield from _numbered_layers(network)
        return
    renamed = {}
    if isinstance(network, StyleGAN2Generator):
        renamed = dict(encoder='encoder.convs', decoder='decoder.convs')
    if isinstance(network, StyleGAN2Discriminator):
        renamed = {f'convs.{len(network.convs) - 1}': 'final_conv', 'linear': 'final_linear'}
    for ours, layer in network.named_modules():
        theirs = ours
        for old, new in renamed.items():
            if f'{ours}.'.startswith(f'{old}.'):
                theirs = new + ours.removeprefix(old)
        yield theirs, ours, layer


def _numbered_layers(network: nn.Module) -> Iterator[tuple[str, str, nn.Module]]:
    """As :func:`_layers`: MMagic nests what CycleGAN's files number, a residual block by itself."""
    number = 0
    for ours, part in network.get_submodule('model').named_children():
        leaves = [(name, m) for name, m in part.named_modules() if not list(m.children())]
        for place, (name, leaf) in enumerate(leaves):
            block = f'model.{number}.conv_block.{place}'
            theirs = block if name.startswith('block.') else f'model.{number + place}'
            yield theirs, f'model.{ours}.{name}'.rstrip('.'), leaf
        number += 1 if leaves[0][0].startswith('block.') else len(leaves)
