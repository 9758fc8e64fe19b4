"""Which tensors a published network has, in their order, and what they are called here."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sesim_mmagic.networks.equalized_layers import TAPS, EqualizedConv, UpsampleConv
from sesim_mmagic.networks.layers import BlurDownsample, BlurUpsample, blur_kernel
from sesim_mmagic.registry import MODELS

Shape = tuple[int, ...]

#: Arguments that a network must be built with and that its tensors do not show.
_UNSEEN: dict[str, dict[str, Any]] = {
    'mmagic.ResnetGenerator': dict(padding_mode='reflect', norm_cfg=dict(type='IN')),
    'mmagic.PatchDiscriminator': dict(norm_cfg=dict(type='IN')),
}
#: Published names by patterns of names here; networks that are not here have the same names.
_RENAMED = {
    'sesim_mmagic.StyleGAN2Generator': {r'(encoder|decoder)\.(.*)': r'\1.convs.\2'},
    'sesim_mmagic.StyleGAN2Discriminator': {r'linear\.(.*)': r'final_linear.\1'},
    'sesim_mmagic.LSeSimLoss': {r'heads\.(.*)': r'\1'},
}
_DOWN, _UP = blur_kernel((1, 2, 1)), 4 * blur_kernel(TAPS)  # 4: of four positions one is not empty


class Slot(NamedTuple):
    """One tensor of a published file.

    Attributes:
        theirs (str): Its name there.
        shape (tuple[int, ...]): Its shape there.
        ours (str | None): Its name here; None if it has no place here.
        our_shape (tuple[int, ...]): Its shape here; as many numbers.
        constant (Tensor | None): The values it must have, if it is no weight; of the last
            dimensions of ``shape``, the same along the others.
        optional (bool): Whether files exist without it.
    """

    theirs: str
    shape: Shape
    ours: str | None = None
    our_shape: Shape = ()
    constant: Tensor | None = None
    optional: bool = False


def full_config(network: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Config of a network, from its type and the arguments that its tensors show."""
    return dict(type=network, **settings, **_UNSEEN.get(network, {}))


def build(network: str, settings: Mapping[str, Any]) -> Any:
    """The network without memory for its weights."""
    with torch.device('meta'):
        return MODELS.build(full_config(network, settings))


def layout(network: str, settings: Mapping[str, Any]) -> list[Slot]:
    """Slots of a network in the order of published files."""
    if network in ('sesim_mmagic.LSeSimLoss', 'sesim_mmagic.PatchNCELoss'):
        shapes = _heads(**settings)
    else:
        module = build(network, settings)
        if network in _UNSEEN:
            return list(_strided(module))
        shapes = list(_slots(module))
    for pattern, name in _RENAMED.get(network, {}).items():
        shapes = [slot._replace(theirs=re.sub(pattern, name, slot.theirs)) for slot in shapes]
    return shapes


def _slots(network: nn.Module) -> Iterator[Slot]:
    """Walk a network of this package, whose layers are numbered as the authors'."""
    channels = 0
    for name, module in network.named_modules():
        if isinstance(module, BlurDownsample | BlurUpsample):
            kernel = _DOWN if isinstance(module, BlurDownsample) else _UP
            yield Slot(f'{name}.filt', (channels, 1, *kernel.shape), constant=kernel)
        elif isinstance(module, UpsampleConv):
            yield from _doubling(name, module)
        elif isinstance(module, EqualizedConv):
            yield from _equalized(name, module)
        else:
            for key, tensor in module.named_parameters(recurse=False):
                channels = len(tensor)
                shape = tuple(tensor.shape)
                yield Slot(f'{name}.{key}', shape, f'{name}.{key}', shape)


def _equalized(name: str, layer: EqualizedConv) -> Iterator[Slot]:
    """Maybe a blur, a convolution, maybe a bias with activation: layers of their own there."""
    # Beside its blocks, the discriminator has a 3 x 3 convolution at the end alone.
    is_last = re.fullmatch(r'convs\.\d+', name) and layer.weight.shape[-1] == 3
    theirs = 'final_conv' if is_last else name
    blurs = int(layer.blur is not None)
    if blurs:
        yield Slot(f'{theirs}.0.kernel', (4, 4), constant=blur_kernel(TAPS))
    shape = tuple(layer.weight.shape)
    yield Slot(f'{theirs}.{blurs}.weight', shape, f'{name}.weight', shape)
    if layer.bias is not None:
        yield _bias(f'{theirs}.{blurs + 1}', name, len(layer.bias))


def _doubling(name: str, layer: UpsampleConv) -> Iterator[Slot]:
    shape = tuple(layer.weight.shape)
    yield Slot(f'{name}.conv.weight', (1, *shape), f'{name}.weight', shape)
    yield Slot(f'{name}.conv.blur.kernel', (4, 4), constant=_UP)
    if layer.noise_weight is not None:
        yield Slot(f'{name}.noise.weight', (1,), f'{name}.noise_weight', (1,))
    yield _bias(f'{name}.activate', name, len(layer.bias))


def _bias(theirs: str, ours: str, channels: int) -> Slot:
    return Slot(f'{theirs}.bias', (1, channels, 1, 1), f'{ours}.bias', (channels,))


def _strided(network: Any) -> Iterator[Slot]:
    """CycleGAN's networks, which are MMagic's: a norm and an activation are layers of their own.

    Until PyTorch 0.4 instance norms counted running statistics, which nothing ever used.
    """
    generator = hasattr(network.model[0], 'norm') and network.model[0].with_norm
    number = 1 if generator else 0
    last = len(network.model) - 1
    for place, layer in enumerate(network.model):
        convolutions = [name for name, m in layer.named_modules() if _is_convolution(m)]
        number += generator and place == last  # a layer of reflection
        for i, name in enumerate(convolutions):
            ours = f'model.{place}.{name}'.rstrip('.')
            theirs = f'model.{number}'
            if len(convolutions) == 2:  # in a residual block, maybe with dropout before the second
                dropout = 'block.2.' in convolutions[1]
                theirs += f'.conv_block.{(1, 5 + dropout)[i]}'
            convolution = layer.get_submodule(name)
            for key, tensor in convolution.named_parameters():
                shape = tuple(tensor.shape)
                yield Slot(f'{theirs}.{key}', shape, f'{ours}.{key}', shape)
            if place < last and (generator or place):
                stem, _, index = theirs.rpartition('.')
                norm, outputs = f'{stem}.{int(index) + 1}', convolution.out_channels
                yield Slot(f'{norm}.running_mean', (outputs,), optional=True)
                yield Slot(f'{norm}.running_var', (outputs,), optional=True)
                yield Slot(f'{norm}.num_batches_tracked', (), optional=True)
        number += 1 if len(convolutions) == 2 else 3 if generator or place else 2


def _is_convolution(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d | nn.ConvTranspose2d)


def _heads(channels: tuple[int, ...], width: int | None = None) -> list[Slot]:
    """What a loss has learned: LSeSim's heads or, of a width, PatchNCE's perceptrons."""
    slots = []
    for i, inputs in enumerate(channels):
        name = f'heads.conv_{i}' if width is None else f'mlp_{i}'
        outputs = max(32, inputs // 4) if width is None else width
        for j, columns in ((0, inputs), (2, outputs)):
            shape: Shape = (outputs, columns, 1, 1) if width is None else (outputs, columns)
            slots.append(Slot(f'{name}.{j}.weight', shape, f'{name}.{j}.weight', shape))
            slots.append(Slot(f'{name}.{j}.bias', shape[:1], f'{name}.{j}.bias', shape[:1]))
    return slots
