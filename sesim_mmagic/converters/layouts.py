"""Which tensors a published network has, in their order, and what they are called here.

One list of slots a network serves both ways: what reads a published file and what writes one walk
the same rows. Published files are those of CycleGAN, CUT and FastCUT, and F-LSeSim.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from torch import Tensor

from sesim_mmagic.networks.equalized_layers import TAPS
from sesim_mmagic.networks.layers import blur_kernel
from sesim_mmagic.networks.stylegan2 import stylegan2_widths

Shape = tuple[int, ...]


class Slot(NamedTuple):
    """One tensor of a published file.

    Args:
        theirs (str): Its name there.
        shape (tuple[int, ...]): Its shape there.
        ours (str | None): Its name here; None if it has no place here.
        our_shape (tuple[int, ...] | None): Its shape here where that differs; as many numbers.
        constant (Tensor | None): The values it must have, if it is no weight; of the last
            dimensions of ``shape``, the same along the others.
        optional (bool): Whether files exist without it.
    """

    theirs: str
    shape: Shape
    ours: str | None
    our_shape: Shape | None = None
    constant: Tensor | None = None
    optional: bool = False


# ------------------------------------------------------------------ ResNet generators, PatchGANs


def resnet_blur(
    in_channels: int,
    out_channels: int,
    base_channels: int,
    num_blocks: int,
    num_downsamplings: int,
    dropout: float,
) -> Iterator[Slot]:
    """Generator of CUT, FastCUT and F-LSeSim: layers are numbered as in ``ResNetBlurGenerator``."""
    width = base_channels
    yield from _same('model.1', width, in_channels, 7)
    index = 4
    for _ in range(num_downsamplings):
        yield from _same(f'model.{index}', 2 * width, width, 3)
        width *= 2
        yield _filter(f'model.{index + 3}', width, (1, 2, 1))
        index += 4
    second = 6 if dropout else 5  # a layer of dropout stands before the second convolution
    for _ in range(num_blocks):
        for place in (1, second):
            yield from _same(f'model.{index}.conv_block.{place}', width, width, 3)
        index += 1
    for _ in range(num_downsamplings):
        yield _filter(f'model.{index}', width, (1, 3, 3, 1), gain=4)
        yield from _same(f'model.{index + 1}', width // 2, width, 3)
        width //= 2
        index += 4
    yield from _same(f'model.{index + 1}', out_channels, width, 7)


def resnet_strided(
    in_channels: int, out_channels: int, base_channels: int, num_blocks: int, use_dropout: bool
) -> Iterator[Slot]:
    """CycleGAN's generator, and that of CUT without antialiasing: MMagic's ``ResnetGenerator``."""
    width = base_channels
    yield from _normed('model.1', 'model.0.conv', width, in_channels, 7)
    index, ours = 4, 1
    for _ in range(2):
        yield from _normed(f'model.{index}', f'model.{ours}.conv', 2 * width, width, 3)
        width, index, ours = 2 * width, index + 3, ours + 1
    # Dropout is a layer of its own, there and here.
    places = ((1, 0), (6, 2)) if use_dropout else ((1, 0), (5, 1))
    for _ in range(num_blocks):
        for there, here in places:
            names = f'model.{index}.conv_block.{there}', f'model.{ours}.block.{here}.conv'
            yield from _normed(*names, width, width, 3)
        index, ours = index + 1, ours + 1
    for _ in range(2):
        # A transposed convolution names its inputs first.
        weight, *others = _normed(f'model.{index}', f'model.{ours}.conv', width // 2, width, 3)
        yield weight._replace(shape=(width, width // 2, 3, 3))
        yield from others
        width, index, ours = width // 2, index + 3, ours + 1
    yield from _conv(f'model.{index + 1}', f'model.{ours}.conv', out_channels, width, 7)


def patch_gan_blur(in_channels: int, base_channels: int, num_layers: int) -> Iterator[Slot]:
    """Discriminator of CUT, FastCUT and F-LSeSim: layers are numbered as in ``BlurPatchGAN``."""
    widths = [base_channels * min(2**i, 8) for i in range(num_layers + 1)]
    yield from _same('model.0', widths[0], in_channels, 4)
    for i, (narrow, wide) in enumerate(zip(widths, widths[1:], strict=False)):
        yield _filter(f'model.{4 * i + 2}', narrow, (1, 2, 1))
        yield from _same(f'model.{4 * i + 3}', wide, narrow, 4)
    yield from _same(f'model.{4 * num_layers + 2}', 1, widths[-1], 4)


def patch_gan_strided(in_channels: int, base_channels: int, num_conv: int) -> Iterator[Slot]:
    """CycleGAN's discriminator: MMagic's ``PatchDiscriminator``."""
    widths = [base_channels * min(2**i, 8) for i in range(num_conv + 1)]
    yield from _conv('model.0', 'model.0.conv', widths[0], in_channels, 4)
    for i, (narrow, wide) in enumerate(zip(widths, widths[1:], strict=False)):
        yield from _normed(f'model.{3 * i + 2}', f'model.{i + 1}.conv', wide, narrow, 4)
    yield from _conv(f'model.{3 * num_conv + 2}', f'model.{num_conv + 1}', 1, widths[-1], 4)


# ---------------------------------------------------------------------------------- StyleGAN2


def stylegan2_generator(
    in_channels: int,
    out_channels: int,
    base_channels: int,
    num_blocks: int,
    num_downsamplings: int,
    noise: bool,
) -> Iterator[Slot]:
    """Generator of single-image models, in ``StyleGAN2Generator``'s names."""
    widths = [min(512, base_channels * 2**i) for i in range(num_downsamplings + 1)]
    low, blocks = widths[-1], num_blocks // 2
    yield from _equalized('encoder.convs.1', 'encoder.1', widths[0], in_channels, 1)
    pairs = [*zip(widths, widths[1:], strict=False), *[(low, low)] * blocks]
    for i, (narrow, wide) in enumerate(pairs, 2):
        halve = i < 2 + num_downsamplings
        yield from _residual(f'encoder.convs.{i}', f'encoder.{i}', narrow, wide, halve)
    for i in range(blocks):
        yield from _residual(f'decoder.convs.{i}', f'decoder.{i}', low, low, False)
    for i, (wide, narrow) in enumerate(zip(widths[::-1], widths[-2::-1], strict=False), blocks):
        yield from _styled(f'decoder.convs.{i}', f'decoder.{i}', narrow, wide, noise)
    last = blocks + num_downsamplings
    yield from _equalized(f'decoder.convs.{last}', f'decoder.{last}', out_channels, widths[0], 1)


def stylegan2_discriminator(
    size: int, in_channels: int, base_channels: int, last_size: int
) -> Iterator[Slot]:
    """Discriminator of single-image models, in ``StyleGAN2Discriminator``'s names."""
    widths = stylegan2_widths(size, base_channels)
    halvings = size.bit_length() - last_size.bit_length()
    yield from _equalized('convs.0', 'convs.0', widths[0], in_channels, 1)
    for i in range(1, halvings + 1):
        yield from _residual(f'convs.{i}', f'convs.{i}', *widths[i - 1 : i + 1], True)
    yield from _equalized('final_conv', f'convs.{halvings + 1}', widths[-1], widths[halvings], 3)
    for i, shape in enumerate([(widths[-1], widths[-1] * last_size**2), (1, widths[-1])]):
        yield Slot(f'final_linear.{i}.weight', shape, f'linear.{i}.weight')
        yield Slot(f'final_linear.{i}.bias', shape[:1], f'linear.{i}.bias')


# -------------------------------------------------------------------- what losses have learned


def lsesim_heads(channels: tuple[int, ...]) -> Iterator[Slot]:
    """LSeSim's heads (``latest_net_F.pth`` of F-LSeSim), in ``LSeSimLoss``'s names."""
    for i, wide in enumerate(channels):
        narrow = max(32, wide // 4)
        for j, inputs in ((0, wide), (2, narrow)):
            yield from _conv(f'conv_{i}.{j}', f'heads.conv_{i}.{j}', narrow, inputs, 1)


def patch_nce_perceptrons(channels: tuple[int, ...], width: int) -> Iterator[Slot]:
    """PatchNCE's perceptrons (``latest_net_F.pth`` of CUT), named as in ``PatchNCELoss``."""
    for i, inputs in enumerate(channels):
        for j, shape in ((0, (width, inputs)), (2, (width, width))):
            name = f'mlp_{i}.{j}'
            yield Slot(f'{name}.weight', shape, f'{name}.weight')
            yield Slot(f'{name}.bias', shape[:1], f'{name}.bias')


#: The layout of each type of network that has a published counterpart, by what it is built from.
LAYOUTS: dict[str, Callable[..., Iterator[Slot]]] = {
    'sesim_mmagic.ResNetBlurGenerator': resnet_blur,
    'ResnetGenerator': resnet_strided,
    'sesim_mmagic.StyleGAN2Generator': stylegan2_generator,
    'sesim_mmagic.BlurPatchGAN': patch_gan_blur,
    'PatchDiscriminator': patch_gan_strided,
    'sesim_mmagic.StyleGAN2Discriminator': stylegan2_discriminator,
    'sesim_mmagic.LSeSimLoss': lsesim_heads,
    'sesim_mmagic.PatchNCELoss': patch_nce_perceptrons,
}


def layout(network: str, settings: dict[str, Any]) -> list[Slot]:
    """Slots of a network.

    Args:
        network (str): A key of ``LAYOUTS``.
        settings (dict): Arguments of its layout.
    """
    return list(LAYOUTS[network](**settings))


# ---------------------------------------------------------------------------------- parts


def _conv(theirs: str, ours: str, outputs: int, inputs: int, kernel: int) -> list[Slot]:
    return [
        Slot(f'{theirs}.weight', (outputs, inputs, kernel, kernel), f'{ours}.weight'),
        Slot(f'{theirs}.bias', (outputs,), f'{ours}.bias'),
    ]


def _same(name: str, outputs: int, inputs: int, kernel: int) -> list[Slot]:
    return _conv(name, name, outputs, inputs, kernel)


def _normed(theirs: str, ours: str, outputs: int, inputs: int, kernel: int) -> list[Slot]:
    """A convolution and what an old file keeps of the instance norm behind it.

    Until PyTorch 0.4 instance norms counted running statistics, which nothing ever used.
    """
    stem, _, index = theirs.rpartition('.')
    norm = f'{stem}.{int(index) + 1}'
    return [
        *_conv(theirs, ours, outputs, inputs, kernel),
        Slot(f'{norm}.running_mean', (outputs,), None, optional=True),
        Slot(f'{norm}.running_var', (outputs,), None, optional=True),
        Slot(f'{norm}.num_batches_tracked', (), None, optional=True),
    ]


def _filter(theirs: str, channels: int, taps: tuple[int, ...], gain: int = 1) -> Slot:
    """Blur kernel of a resampling layer, once a channel; the gain makes up for zeros between."""
    kernel = gain * blur_kernel(taps)
    return Slot(f'{theirs}.filt', (channels, 1, *kernel.shape), None, constant=kernel)


def _kernel(theirs: str, gain: int = 1) -> Slot:
    return Slot(f'{theirs}.kernel', (4, 4), None, constant=gain * blur_kernel(TAPS))


def _equalized(
    theirs: str,
    ours: str,
    outputs: int,
    inputs: int,
    kernel: int,
    halve: bool = False,
    activate: bool = True,
) -> Iterator[Slot]:
    """Convolution, bias with activation; one that halves stands behind a blur."""
    if halve:
        yield _kernel(f'{theirs}.0')
    shape = (outputs, inputs, kernel, kernel)
    yield Slot(f'{theirs}.{int(halve)}.weight', shape, f'{ours}.weight')
    if activate:
        yield _bias(f'{theirs}.{int(halve) + 1}', ours, outputs)


def _bias(theirs: str, ours: str, channels: int) -> Slot:
    return Slot(f'{theirs}.bias', (1, channels, 1, 1), f'{ours}.bias', our_shape=(channels,))


def _residual(theirs: str, ours: str, narrow: int, wide: int, halve: bool) -> Iterator[Slot]:
    yield from _equalized(f'{theirs}.conv1', f'{ours}.conv1', narrow, narrow, 3)
    yield from _equalized(f'{theirs}.conv2', f'{ours}.conv2', wide, narrow, 3, halve)
    if halve:
        names = f'{theirs}.skip', f'{ours}.skip'
        yield from _equalized(*names, wide, narrow, 1, halve, activate=False)


def _styled(theirs: str, ours: str, outputs: int, inputs: int, noise: bool) -> Iterator[Slot]:
    shape = (outputs, inputs, 3, 3)
    yield Slot(f'{theirs}.conv.weight', (1, *shape), f'{ours}.weight', our_shape=shape)
    yield _kernel(f'{theirs}.conv.blur', gain=4)
    if noise:
        yield Slot(f'{theirs}.noise.weight', (1,), f'{ours}.noise_weight')
    yield _bias(f'{theirs}.activate', ours, outputs)
