"""One network at a time: told by its tensors, to this package's names and shapes, and back."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from .layouts import Shape, Slot, layout

#: What each network is, and what else there is to say of it.
NETWORKS = {
    'sesim_mmagic.ResNetBlurGenerator': ('generator', 'ResNet generator, blur-pooled'),
    'mmagic.ResnetGenerator': ('generator', 'ResNet generator without blur-pooling'),
    'sesim_mmagic.StyleGAN2Generator': ('generator', 'StyleGAN2 generator'),
    'sesim_mmagic.BlurPatchGAN': ('discriminator', 'PatchGAN discriminator, blur-pooled'),
    'mmagic.PatchDiscriminator': ('discriminator', 'PatchGAN discriminator without blur-pooling'),
    'sesim_mmagic.StyleGAN2Discriminator': ('discriminator', 'StyleGAN2 discriminator'),
    'sesim_mmagic.LSeSimLoss': ('heads', "LSeSim's heads"),
    'sesim_mmagic.PatchNCELoss': ('heads', "PatchNCE's perceptrons"),
}
#: Beginnings of names in files that have no counterpart here.
_FOREIGN = {
    r'model\.model\.': 'a UNet generator, which this package has not',
    r'net\.\d': 'a discriminator of single pixels, which this package has not',
    r'(enc|dec|gen|cnns|enc_content|enc_style)\.|(content|style)_encoder\.|scales\.': (
        'networks of MUNIT, which have no converter'
    ),
    r'module\.': "a network inside a wrapper: take 'module.' away from the names of its tensors",
    r'(generators|discriminators|structure_loss)\.|(state_dict|meta)$': (
        'a checkpoint of MMagic or this package, which from_sesim.py takes'
    ),
}


@dataclass(frozen=True)
class Variant:
    """A network and its size.

    Attributes:
        network (str): Its type in a config.
        settings (dict): What its tensors say of its arguments, such as ``base_channels``.
    """

    network: str
    settings: dict[str, Any]

    @property
    def kind(self) -> str:
        """'generator', 'discriminator' or 'heads' (what a structure loss has learned)."""
        return NETWORKS[self.network][0]

    def __str__(self) -> str:
        settings = ', '.join(f'{name} {value}' for name, value in self.settings.items())
        return f'{NETWORKS[self.network][1]} ({settings})'


@dataclass
class Converted:
    """A network in this package's names.

    Attributes:
        variant (Variant): What it is.
        state_dict (dict[str, Tensor]): Its weights, which share memory with what they come from.
        left_out (list[str]): Names of blur kernels, which were checked and which code has, and of
            running statistics of instance norms, which nothing uses.
    """

    variant: Variant
    state_dict: dict[str, Tensor]
    left_out: list[str]


def to_ours(published: Mapping[str, Tensor], where: str = 'state dict') -> Converted:
    """Convert a published network; nothing but names and shapes changes.

    Args:
        published (Mapping[str, Tensor]): Content of a ``latest_net_*.pth`` of CycleGAN, CUT,
            FastCUT or F-LSeSim.
        where (str): What it comes from, for messages.

    Raises:
        ValueError: As :func:`identify`.
    """
    variant, slots = _identify(published, where, published=True)
    state_dict = {
        slot.ours: published[slot.theirs].reshape(slot.our_shape) for slot in slots if slot.ours
    }
    left_out = [slot.theirs for slot in slots if not slot.ours and slot.theirs in published]
    return Converted(variant, state_dict, left_out)


def to_published(ours: Mapping[str, Tensor], where: str = 'state dict') -> dict[str, Tensor]:
    """Convert a network of this package to published names, shapes and order, kernels included.

    Args:
        ours (Mapping[str, Tensor]): State dict of one network.
        where (str): What it comes from, for messages.

    Raises:
        ValueError: As :func:`identify`; networks of MUNIT have no published counterpart.
    """
    _, slots = _identify(ours, where, published=False)
    dtype = next(iter(ours.values())).dtype
    published = {}
    for slot in slots:
        if slot.ours:
            published[slot.theirs] = ours[slot.ours].reshape(slot.shape)
        elif slot.constant is not None:
            published[slot.theirs] = slot.constant.to(dtype).expand(slot.shape).contiguous()
    return published


def identify(state_dict: Mapping[str, Tensor], where: str, published: bool = True) -> Variant:
    """Find out which network the tensors are of, all of them and no others.

    Args:
        state_dict (Mapping[str, Tensor]): Tensors by name.
        where (str): What they come from, for messages.
        published (bool): Whether names are those of published files, otherwise those of this
            package. Defaults to True.

    Raises:
        ValueError: If it is no network that this package knows, if tensors are missing, unexpected
            or of another shape, or if constants have other values.
    """
    return _identify(state_dict, where, published)[0]


def _identify(
    state_dict: Mapping[str, Tensor], where: str, published: bool
) -> tuple[Variant, list[Slot]]:
    try:
        shapes = _shapes(state_dict)
        variant = Variant(*_recognize(shapes, published))
    except ValueError as error:
        raise ValueError(f'{where}: {error}') from None
    try:
        slots = layout(variant.network, variant.settings)
    except Exception as error:  # numbers that no network has
        raise ValueError(f'{where}: looks like {variant}, which cannot be: {error}') from None
    problems = _problems(state_dict, shapes, slots, published)
    if problems:
        found = '; '.join(f'{what}: {_some(names)}' for what, names in problems.items())
        raise ValueError(f'{where}: looks like {variant}, but {found}')
    return variant, slots


def _problems(
    state_dict: Mapping[str, Tensor],
    shapes: Mapping[str, Shape],
    slots: list[Slot],
    published: bool,
) -> dict[str, list[str]]:
    """In what the tensors differ from those of a network: names by the kind of difference."""
    needed, optional = {slot.ours: slot.our_shape for slot in slots if slot.ours}, set()
    if published:
        needed = {slot.theirs: slot.shape for slot in slots}
        optional = {slot.theirs for slot in slots if slot.optional}
    problems = {
        'tensors are missing': [n for n in needed if n not in shapes and n not in optional],
        'tensors are unexpected': [n for n in shapes if n not in needed],
        'tensors have another shape': [
            f'{n!r} {shapes[n]} instead of {shape}'
            for n, shape in needed.items()
            if shapes.get(n, shape) != shape
        ],
    }
    if published and not any(problems.values()):
        # A network with other blur kernels is another network, whatever its weights are.
        problems['constants have other values than this network has'] = [
            slot.theirs
            for slot in slots
            if slot.constant is not None
            and not (state_dict[slot.theirs].float() == slot.constant).all()
        ]
    return {what: names for what, names in problems.items() if names}


def _shapes(state_dict: Mapping[str, Tensor]) -> dict[str, Shape]:
    if not state_dict:
        raise ValueError('holds no tensors')
    for beginning, what in _FOREIGN.items():
        if any(re.match(beginning, str(name)) for name in state_dict):
            raise ValueError(what)
    for name, value in state_dict.items():
        if not isinstance(value, Tensor) or not isinstance(name, str):
            raise ValueError(
                f'a state dict of tensors was expected, {name!r} is of type {type(value).__name__}'
            )
        if not value.is_floating_point() and not name.endswith('num_batches_tracked'):
            raise ValueError(f'{name!r} is of type {value.dtype}, not of a float type')
    return {name: tuple(value.shape) for name, value in state_dict.items()}


def _count(shapes: Mapping[str, Shape], pattern: str) -> int:
    """How many different beginnings of names fit a pattern."""
    return len({match[0] for name in shapes if (match := re.match(pattern, name))})


def _recognize(shapes: Mapping[str, Shape], published: bool) -> tuple[str, dict[str, Any]]:
    """Type of a network and its arguments, from some names and shapes of its tensors.

    Layers are counted by tensors that are there, whatever numbers their names hold.
    """
    count = partial(_count, shapes)
    # StyledConv's weights have a dimension more; norms' have one.
    weights = [v[-4:] for k, v in shapes.items() if k.endswith('.weight') and len(v) > 1]
    first, last = (weights[0], weights[-1]) if weights else ((0, 0), (0, 0))
    judged = dict(in_channels=first[1], base_channels=first[0])
    translated = dict(in_channels=first[1], out_channels=last[0], base_channels=first[0])
    if count(r'encoder\.(convs\.)?\d+\.'):
        halvings = count(r'encoder\.(convs\.)?\d+\.skip\.')
        return 'sesim_mmagic.StyleGAN2Generator', dict(
            translated,
            num_blocks=2 * (count(r'encoder\.(convs\.)?\d+\.conv1\.') - halvings),
            num_downsamplings=halvings,
            noise=any('noise' in name for name in shapes),
        )
    if count(r'(final_)?linear\.\d+\.'):
        outputs, inputs = (weights[-2:] or [first])[0][:2]
        last_size = 4 if inputs == 4 * 4 * outputs else 8  # CUT's, F-LSeSim's
        size = last_size * 2 ** count(r'convs\.\d+\.(?=skip\.)')
        return 'sesim_mmagic.StyleGAN2Discriminator', dict(size=size, **judged, last_size=last_size)
    if count(r'(heads\.)?conv_\d+\.'):
        return 'sesim_mmagic.LSeSimLoss', dict(channels=tuple(s[1] for s in weights[::2]))
    if count(r'mlp_\d+\.'):
        channels = tuple(s[1] for s in weights[::2])
        return 'sesim_mmagic.PatchNCELoss', dict(channels=channels, width=first[0])
    if count(r'model\.\d+\.'):
        return _recognize_plain(shapes, published, judged, translated)
    raise ValueError(
        f'holds no network that this package knows: tensors are called {_some(list(shapes), 3)}; '
        'expected generators (ResNet, StyleGAN2), discriminators (PatchGAN, StyleGAN2), '
        "LSeSim's heads or PatchNCE's perceptrons, of CycleGAN, CUT or F-LSeSim"
    )


def _recognize_plain(
    shapes: Mapping[str, Shape],
    published: bool,
    judged: dict[str, int],
    translated: dict[str, int],
) -> tuple[str, dict[str, Any]]:
    """As :func:`_recognize`, of a PatchGAN or ResNet generator: convolutions in one sequence."""
    count = partial(_count, shapes)
    blurs = _is_blurred(shapes, published)
    between = max(count(r'model\.\d+\.(conv\.)?weight$') - 2, 0)  # the first and the last layer
    blocks = count(r'model\.\d+\.(conv_)?block\.')
    dropout = count(r'model\.\d+\.(conv_block\.6\.(weight|bias)|block\.2\.)') > 0
    if not blocks and blurs:
        return 'sesim_mmagic.BlurPatchGAN', dict(judged, num_layers=between)
    if not blocks:
        return 'mmagic.PatchDiscriminator', dict(judged, num_conv=between)
    settings = dict(translated, num_blocks=blocks)
    if not blurs:
        return 'mmagic.ResnetGenerator', dict(settings, use_dropout=dropout)
    settings['num_downsamplings'] = between // 2
    return 'sesim_mmagic.ResNetBlurGenerator', dict(settings, dropout=0.5 * dropout)


def _is_blurred(shapes: Mapping[str, Shape], published: bool) -> bool:
    """Whether a network of plain convolutions blurs where it halves and doubles."""
    affine = [n for n, shape in shapes.items() if n.endswith('.weight') and len(shape) == 1]
    if affine:
        raise ValueError(
            f'a network with batch norm ({affine[0]!r} is a weight of a norm), which is not '
            'converted: expected instance norm, which has no weights'
        )
    if not published:
        return not any('.conv.' in name for name in shapes)
    kernels = {shape[-1] for name, shape in shapes.items() if name.endswith('.filt') and shape}
    layers = [name for name in shapes if re.fullmatch(r'model\.\d+\.weight', name)]
    alone = len(kernels) == 1 and len(layers) % 2 == 0  # as many halve as double
    if alone and any('.conv_block.' in name for name in shapes):
        which = 'down' if 3 in kernels else 'up'
        raise ValueError(
            f'a ResNet generator with blur-pooled {which} sampling alone, which this package has '
            'not: expected both or neither'
        )
    return bool(kernels)


def _some(names: list[str], most: int = 6) -> str:
    """The first names of a list, in words."""
    more = f' and {len(names) - most} more' if len(names) > most else ''
    return ', '.join(name if ' ' in name else repr(name) for name in names[:most]) + more
