"""Which network tensors look like, from some of their names and shapes."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from .layouts import Shape

Shapes = Mapping[str, Shape]
#: Type of a network and arguments of its layout.
Look = tuple[str, dict[str, Any]]


def recognise(shapes: Shapes, published: bool) -> Look:
    """The network that the tensors are of, if they are all there and no others.

    Args:
        shapes (Mapping[str, tuple]): Shapes by name.
        published (bool): Whether names are those of published files, otherwise this package's.

    Raises:
        ValueError: If it is no network that is known, or one that is not converted.
    """
    readers = _PUBLISHED if published else _OURS
    for pattern, read in readers.items():
        if any(re.match(pattern, name) for name in shapes):
            return read(shapes)
    raise ValueError(
        f'holds no network that this package knows: tensors are called {some(list(shapes), 3)}; '
        'expected generators (ResNet, StyleGAN2), discriminators (PatchGAN, StyleGAN2), '
        "LSeSim's heads or PatchNCE's perceptrons, of CycleGAN, CUT or F-LSeSim"
    )


def _resnet_or_patch_gan(shapes: Shapes) -> Look:
    """A published network of plain convolutions."""
    affine = [n for n, shape in shapes.items() if n.endswith('.weight') and len(shape) == 1]
    if affine:
        raise ValueError(
            f'a network with batch norm ({affine[0]!r} is a weight of a norm), which is not '
            'converted: expected instance norm, which has no weights'
        )
    blocks = _numbers(shapes, r'model\.(\d+)\.conv_block\.')
    filters = _numbers(shapes, r'model\.(\d+)\.filt$')
    if not blocks:
        return _patch_gan_blur(shapes) if filters else _patch_gan_strided(shapes)
    # A layer that strides stands where a blurred network has a kernel.
    alone = {
        'up': 'model.7.weight' in shapes,
        'down': f'model.{blocks[-1] + 1}.weight' in shapes,
    }
    for which in alone:
        if filters and alone[which]:
            raise ValueError(
                f'a ResNet generator with blur-pooled {which} sampling alone, which this package '
                'has not: expected both or neither'
            )
    return _resnet_blur(shapes) if filters else _resnet_strided(shapes)


def _resnet_blur(shapes: Shapes) -> Look:
    blocks = _numbers(shapes, r'model\.(\d+)\.conv_block\.')
    width, inputs = _weight(shapes, 'model.1.weight')
    last = _numbers(shapes, r'model\.(\d+)\.(weight|bias)$')[-1]
    return (
        'sesim_mmagic.ResNetBlurGenerator',
        dict(
            in_channels=inputs,
            out_channels=_weight(shapes, f'model.{last}.weight')[0],
            base_channels=width,
            num_blocks=len(blocks),
            num_downsamplings=_within((blocks[0] - 4) // 4, shapes),
            dropout=0.5 if _numbers(shapes, r'model\.\d+\.conv_block\.(6)\.(weight|bias)') else 0.0,
        ),
    )


def _resnet_strided(
    shapes: Shapes,
    first: str = 'model.1',
    block: str = r'model\.(\d+)\.conv_block\.',
    dropped: str = r'model\.\d+\.conv_block\.(6)\.(weight|bias)',
    plain: str = '',
) -> Look:
    width, inputs = _weight(shapes, f'{first}.weight')
    last = _numbers(shapes, rf'model\.(\d+){re.escape(plain)}\.(weight|bias)$')[-1]
    return (
        'ResnetGenerator',
        dict(
            in_channels=inputs,
            out_channels=_weight(shapes, f'model.{last}{plain}.weight')[0],
            base_channels=width,
            num_blocks=len(_numbers(shapes, block)),
            use_dropout=bool(_numbers(shapes, dropped)),
        ),
    )


def _patch_gan_blur(shapes: Shapes) -> Look:
    width, inputs = _weight(shapes, 'model.0.weight')
    count = (_numbers(shapes, r'model\.(\d+)\.')[-1] - 2) // 4
    return (
        'sesim_mmagic.BlurPatchGAN',
        dict(in_channels=inputs, base_channels=width, num_layers=_within(count, shapes)),
    )


def _patch_gan_strided(shapes: Shapes, first: str = 'model.0', ours: bool = False) -> Look:
    width, inputs = _weight(shapes, f'{first}.weight')
    last = _numbers(shapes, r'model\.(\d+)\.(?:conv\.)?(weight|bias)')[-1]
    count = last - 1 if ours else (last - 2) // 3
    return (
        'PatchDiscriminator',
        dict(in_channels=inputs, base_channels=width, num_conv=_within(count, shapes)),
    )


def _stylegan2_generator(shapes: Shapes, first: str, last: str) -> Look:
    width, inputs = _weight(shapes, first)
    blocks = _numbers(shapes, r'encoder\.(?:convs\.)?(\d+)\.conv1\.')
    halving = _numbers(shapes, r'encoder\.(?:convs\.)?(\d+)\.skip\.')
    end = max(_numbers(shapes, r'decoder\.(?:convs\.)?(\d+)\.'), default=0)
    return (
        'sesim_mmagic.StyleGAN2Generator',
        dict(
            in_channels=inputs,
            out_channels=_weight(shapes, last.format(end))[0],
            base_channels=width,
            num_blocks=2 * (len(blocks) - len(halving)),
            num_downsamplings=len(halving),
            noise=any('noise' in name for name in shapes),
        ),
    )


def _stylegan2_discriminator(shapes: Shapes, first: str, linear: str) -> Look:
    width, inputs = _weight(shapes, first)
    outputs, values = _weight(shapes, linear)
    last = 4 if values == 4 * 4 * outputs else 8  # CUT's, F-LSeSim's
    halvings = len(_numbers(shapes, r'convs\.(\d+)\.(?:conv1|skip)\.'))
    return (
        'sesim_mmagic.StyleGAN2Discriminator',
        dict(size=last * 2**halvings, in_channels=inputs, base_channels=width, last_size=last),
    )


def _lsesim(shapes: Shapes, name: str = 'conv_{}.0.weight') -> Look:
    count = len(_numbers(shapes, r'(?:heads\.)?conv_(\d+)\.'))
    channels = tuple(_weight(shapes, name.format(i))[1] for i in range(count))
    return ('sesim_mmagic.LSeSimLoss', dict(channels=channels))


def _patch_nce(shapes: Shapes) -> Look:
    count = len(_numbers(shapes, r'mlp_(\d+)\.'))
    channels = tuple(_weight(shapes, f'mlp_{i}.0.weight')[1] for i in range(count))
    width = _weight(shapes, 'mlp_0.0.weight')[0]
    return ('sesim_mmagic.PatchNCELoss', dict(channels=channels, width=width))


def _numbers(shapes: Shapes, pattern: str) -> list[int]:
    """The different numbers that the pattern's first group finds, ascending."""
    found = (re.match(pattern, name) for name in shapes)
    return sorted({int(match[1]) for match in found if match})


def _weight(shapes: Shapes, name: str) -> Shape:
    """Outputs and inputs of a convolution or a linear layer."""
    if name not in shapes:
        raise ValueError(f'the tensor {name!r} is missing, whose shape says what network this is')
    if len(shapes[name]) < 2:
        raise ValueError(f'{name!r} has shape {shapes[name]}, which is not that of a weight')
    return shapes[name][:2]


def _within(count: int, shapes: Shapes) -> int:
    """A number of layers that the number of tensors allows, whatever their names say."""
    return min(max(count, 0), len(shapes))


def some(names: list[str], most: int = 6) -> str:
    """The first names of a list, in words."""
    more = f' and {len(names) - most} more' if len(names) > most else ''
    return ', '.join(names[:most]) + more


_PUBLISHED = {
    r'encoder\.convs\.|decoder\.convs\.': partial(
        _stylegan2_generator,
        first='encoder.convs.1.0.weight',
        last='decoder.convs.{}.0.weight',
    ),
    r'final_linear\.|final_conv\.': partial(
        _stylegan2_discriminator, first='convs.0.0.weight', linear='final_linear.0.weight'
    ),
    r'conv_\d+\.': _lsesim,
    r'mlp_\d+\.': _patch_nce,
    r'model\.\d+\.': _resnet_or_patch_gan,
}
_OURS = {
    r'encoder\.\d+\.': partial(
        _stylegan2_generator, first='encoder.1.weight', last='decoder.{}.weight'
    ),
    r'linear\.\d+\.': partial(
        _stylegan2_discriminator, first='convs.0.weight', linear='linear.0.weight'
    ),
    r'heads\.conv_\d+\.': partial(_lsesim, name='heads.conv_{}.0.weight'),
    r'mlp_\d+\.': _patch_nce,
    r'model\.\d+\.conv_block\.': _resnet_blur,
    r'model\.\d+\.block\.': partial(
        _resnet_strided,
        first='model.0.conv',
        block=r'model\.(\d+)\.block\.',
        dropped=r'model\.\d+\.block\.(2)\.',
        plain='.conv',
    ),
    r'model\.\d+\.conv\.': partial(_patch_gan_strided, first='model.0.conv', ours=True),
    r'model\.\d+\.': _patch_gan_blur,
}
