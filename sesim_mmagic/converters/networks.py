"""One network at a time: from published names and shapes to this package's, and back."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from .variants import Variant, identify


@dataclass
class Converted:
    """A network in this package's names.

    Args:
        variant (Variant): What it is.
        state_dict (dict[str, Tensor]): Its weights, which share memory with what they come from.
        constants (list[str]): Blur kernels, which were checked and left out: code has them.
        statistics (list[str]): Running statistics of instance norms, which were left out: nothing
            uses them.
    """

    variant: Variant
    state_dict: dict[str, Tensor]
    constants: list[str] = field(default_factory=list)
    statistics: list[str] = field(default_factory=list)


def to_ours(published: Mapping[str, Tensor], where: str = 'state dict') -> Converted:
    """Convert a published network; nothing but names and shapes changes.

    Args:
        published (Mapping[str, Tensor]): Content of a ``latest_net_*.pth`` of CycleGAN, CUT,
            FastCUT or F-LSeSim.
        where (str): What it comes from, for messages.

    Returns:
        Converted: The network, its weights in this package's names, and what was left out.

    Raises:
        ValueError: As :func:`identify`.
    """
    variant = identify(published, where)
    converted = Converted(variant, {})
    for slot in variant.slots:
        if slot.theirs not in published:  # optional; identify() has seen to the others
            continue
        if slot.ours:
            shape = slot.our_shape or slot.shape
            converted.state_dict[slot.ours] = published[slot.theirs].reshape(shape)
        elif slot.constant is None:
            converted.statistics.append(slot.theirs)
        else:
            converted.constants.append(slot.theirs)
    return converted


def to_published(ours: Mapping[str, Tensor], where: str = 'state dict') -> dict[str, Tensor]:
    """Convert a network of this package to published names, shapes and order.

    Args:
        ours (Mapping[str, Tensor]): State dict of one network.
        where (str): What it comes from, for messages.

    Returns:
        dict[str, Tensor]: Content for a ``latest_net_*.pth``, blur kernels included.

    Raises:
        ValueError: As :func:`identify`; networks of MUNIT have no published counterpart.
    """
    variant = identify(ours, where, published=False)
    dtype = next(iter(ours.values())).dtype
    published = {}
    for slot in variant.slots:
        if slot.ours:
            published[slot.theirs] = ours[slot.ours].reshape(slot.shape)
        elif slot.constant is not None:
            published[slot.theirs] = slot.constant.to(dtype).expand(slot.shape).contiguous()
    return published


def swap_colours(published: Mapping[str, Tensor], variant: Variant) -> dict[str, Tensor]:
    """A published network that takes and gives RGB, from one for BGR; and the reverse.

    The channels of the first layer's inputs and of a generator's outputs change places. Networks
    of other than three channels stay what they are, and so do LSeSim's heads, which look through
    VGG16.

    Args:
        published (Mapping[str, Tensor]): Network in published names.
        variant (Variant): What it is.
    """
    swapped = dict(published)
    if variant.kind == 'heads':
        if variant.settings.get('width') and variant.settings['channels'][0] == 3:
            swapped['mlp_0.0.weight'] = published['mlp_0.0.weight'].flip(1)
        return swapped
    weights = [name for name in published if name.endswith('.weight')]
    first, last = weights[0], weights[-1]
    if variant.settings['in_channels'] == 3:
        swapped[first] = published[first].flip(1)
    if variant.settings.get('out_channels') == 3:
        swapped[last] = swapped[last].flip(0)
        bias = [name for name in published if name.endswith('.bias')][-1]
        swapped[bias] = published[bias].flip(_channel_axis(published[bias]))
    return swapped


def _channel_axis(bias: Tensor) -> int:
    return 0 if bias.dim() == 1 else 1
