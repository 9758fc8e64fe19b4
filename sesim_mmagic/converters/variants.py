"""Telling from its tensors alone which network a file holds."""

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from .layouts import Shape, Slot, layout
from .recognising import Shapes, recognise, some

#: What each network is, and what else there is to say of it.
_NETWORKS = {
    'sesim_mmagic.ResNetBlurGenerator': ('generator', 'ResNet generator, blur-pooled'),
    'ResnetGenerator': ('generator', 'ResNet generator without blur-pooling'),
    'sesim_mmagic.StyleGAN2Generator': ('generator', 'StyleGAN2 generator'),
    'sesim_mmagic.BlurPatchGAN': ('discriminator', 'PatchGAN discriminator, blur-pooled'),
    'PatchDiscriminator': ('discriminator', 'PatchGAN discriminator without blur-pooling'),
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

    Args:
        network (str): Its type in a config of this package.
        settings (dict): What its tensors say of its arguments, such as ``base_channels``.
    """

    network: str
    settings: dict[str, Any]

    @property
    def kind(self) -> str:
        """'generator', 'discriminator' or 'heads' (what a structure loss has learned)."""
        return _NETWORKS[self.network][0]

    @property
    def blur(self) -> bool:
        """Whether it blurs where it halves and doubles."""
        return (
            self.network not in ('ResnetGenerator', 'PatchDiscriminator') and self.kind != 'heads'
        )

    @property
    def norm(self) -> str | None:
        """'instance' or None."""
        plain = self.kind == 'heads' or 'StyleGAN2' in self.network
        return None if plain else 'instance'

    @property
    def slots(self) -> list[Slot]:
        """Its tensors, there and here."""
        return layout(self.network, self.settings)

    def __str__(self) -> str:
        settings = ', '.join(f'{name} {value}' for name, value in self.settings.items())
        return f'{_NETWORKS[self.network][1]} ({settings})'


def identify(state_dict: Mapping[str, Tensor], where: str, published: bool = True) -> Variant:
    """Find out which network the tensors are of, all of them and no others.

    Args:
        state_dict (Mapping[str, Tensor]): Tensors by name.
        where (str): What they come from, for messages.
        published (bool): Whether names are those of published files, otherwise those of this
            package. Defaults to True.

    Returns:
        Variant: The network.

    Raises:
        ValueError: If it is no network that this package knows, if tensors are missing, unexpected
            or of another shape, or if constants have other values.
    """
    shapes = _shapes(state_dict, where)
    try:
        variant = Variant(*recognise(shapes, published))
    except ValueError as error:
        raise ValueError(f'{where}: {error}') from None
    slots = variant.slots
    if published:
        expected = {slot.theirs: slot.shape for slot in slots}
        optional = {slot.theirs for slot in slots if slot.optional}
        problems = _misfits(shapes, expected, optional) or _changed(state_dict, slots)
    else:
        expected = {slot.ours: slot.our_shape or slot.shape for slot in slots if slot.ours}
        problems = _misfits(shapes, expected)
    if problems:
        raise ValueError(f'{where}: looks like {variant}, but {"; ".join(problems)}')
    return variant


def _shapes(state_dict: Mapping[str, Tensor], where: str) -> dict[str, Shape]:
    if not state_dict:
        raise ValueError(f'{where}: holds no tensors')
    for beginning, what in _FOREIGN.items():
        if any(re.match(beginning, str(name)) for name in state_dict):
            raise ValueError(f'{where}: {what}')
    for name, value in state_dict.items():
        if not isinstance(value, Tensor) or not isinstance(name, str):
            raise ValueError(
                f'{where}: a state dict of tensors was expected, {name!r} is of type '
                f'{type(value).__name__}'
            )
        if not value.is_floating_point() and not name.endswith('num_batches_tracked'):
            raise ValueError(f'{where}: {name!r} is of type {value.dtype}, not of a float type')
    return {name: tuple(value.shape) for name, value in state_dict.items()}


def _changed(state_dict: Mapping[str, Tensor], slots: list[Slot]) -> list[str]:
    """A network with other blur kernels is another network, whatever its weights are."""
    return [
        f'the constant {slot.theirs!r} has other values than this network has'
        for slot in slots
        if slot.constant is not None
        and not bool((state_dict[slot.theirs].float() == slot.constant).all())
    ]


def _misfits(found: Shapes, expected: Shapes, optional: Set[str] = frozenset()) -> list[str]:
    lists = {
        'tensors are missing': [f'{n!r}' for n in expected if n not in found and n not in optional],
        'tensors are unexpected': [f'{n!r}' for n in found if n not in expected],
        'tensors have another shape': [
            f'{n!r} {found[n]} instead of {shape}'
            for n, shape in expected.items()
            if found.get(n, shape) != shape
        ],
    }
    return [f'{what}: {some(names)}' for what, names in lists.items() if names]
