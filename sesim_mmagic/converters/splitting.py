"""A checkpoint of this package becomes published files.

Published networks see RGB. Of a checkpoint whose training saw BGR, the default here, the colours of
the first and last layers change places.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from sesim_mmagic.engine.plain_settings import read_settings

from .networks import Variant, identify, to_published

_LETTERS = dict(generator='G', discriminator='D', heads='F')

StateDict = Mapping[str, Tensor]


@dataclass
class Split:
    """Published files of a checkpoint.

    Attributes:
        files (dict[str, dict[str, Tensor]]): Content by file name: ``latest_net_G.pth``, ...; of
            two directions ``latest_net_G_A.pth`` (into the default domain) and ``_B``.
        variants (dict[str, Variant]): What each file holds.
        averaged (bool): Whether generators are moving averages, which did the inference.
        swapped (bool): Whether colours changed places, from BGR to RGB.
        left_out (list[str]): Parts of the checkpoint that have no place in such files.
    """

    files: dict[str, dict[str, Tensor]]
    variants: dict[str, Variant]
    averaged: bool
    swapped: bool
    left_out: list[str]


def split(checkpoint: Mapping[str, Any], where: str) -> Split:
    """Published files from a checkpoint of this package, of a training or of :func:`join`.

    Args:
        checkpoint (Mapping[str, Any]): Content of the file, with its config in ``meta``.
        where (str): What it comes from, for messages.

    Raises:
        ValueError: If it is no such checkpoint, or its networks have no published counterpart.
    """
    target, order = _read_config(checkpoint, where)
    networks, left_out = _by_network(checkpoint['state_dict'])
    averages = {name: networks.pop(name) for name in list(networks) if name[0] == 'average'}
    domains = [domain for kind, domain in networks if kind == 'generator']
    if not domains or target not in domains:
        raise ValueError(f'{where}: it has generators into {domains}, its config says {target!r}')
    for domain in domains if averages else ():
        average = averages.get(('average', domain), {})
        if missing := set(networks['generator', domain]) - set(average):
            raise ValueError(f'{where}: the moving average lacks {min(missing)!r} of a generator')
        networks['generator', domain] = average
    result = Split({}, {}, bool(averages), order == 'BGR', left_out)
    for (kind, domain), network in networks.items():
        suffix = '' if len(domains) == 1 or not domain else '_A' if domain == target else '_B'
        name = f'latest_net_{_LETTERS[kind]}{suffix}.pth'
        part = f'{where}, {kind} {domain}'.rstrip()
        result.variants[name] = variant = identify(network, part, published=False)
        published = to_published(network, part)
        result.files[name] = _swap_colours(published, variant) if result.swapped else published
    return result


def _read_config(checkpoint: Mapping[str, Any], where: str) -> tuple[Any, str]:
    """Default target and channel order of the model in a checkpoint."""
    meta = checkpoint.get('meta')
    text = meta.get('cfg') if isinstance(meta, Mapping) else None
    if not isinstance(text, str) or not checkpoint.get('state_dict'):
        raise ValueError(
            f"{where}: no checkpoint of this package: expected 'state_dict' and the text of a "
            f"config in 'meta', found {sorted(map(str, checkpoint))[:5]}"
        )
    try:
        model = read_settings(text).get('model')
    except ValueError as error:
        raise ValueError(f'{where}: the config in it cannot be read: {error}') from None
    if not isinstance(model, dict):
        raise ValueError(f"{where}: the config in it has no 'model'")
    preprocessor = model.get('data_preprocessor') or {}
    if not isinstance(preprocessor, dict):
        raise ValueError(f"{where}: 'data_preprocessor' of the config in it is no dictionary")
    target = model.get('target_domain') or model.get('default_domain')
    return target, preprocessor.get('output_channel_order') or 'BGR'


def _by_network(weights: StateDict) -> tuple[dict[tuple[str, str], dict[str, Tensor]], list[str]]:
    """State dicts by kind and domain; first parts of all other names."""
    patterns = {
        r'generators\.([^.]+)\.(.+)': 'generator',
        r'discriminators\.([^.:]+)\.(.+)': 'discriminator',
        r'generator_ema\.module\.([^.]+)\.(.+)': 'average',
        r'structure_loss\.()((?:heads\.conv|mlp)_\d+\..+)': 'heads',
    }
    networks: dict[tuple[str, str], dict[str, Tensor]] = {}
    left_out = set()
    for name, tensor in weights.items():
        for pattern, kind in patterns.items():
            if match := re.fullmatch(pattern, name):
                networks.setdefault((kind, match[1]), {})[match[2]] = tensor
                break
        else:
            if not name.startswith('generator_ema.'):
                left_out.add(name.partition('.')[0])
    return networks, sorted(left_out)


def _swap_colours(published: StateDict, variant: Variant) -> dict[str, Tensor]:
    """A published network that takes and gives RGB, from one for BGR; and the reverse.

    The channels of the first layer's inputs and of a generator's outputs change places. Networks
    of other than three channels stay what they are, and so do LSeSim's heads, which see VGG16's
    features.
    """
    swapped, settings = dict(published), variant.settings
    names = {kind: [n for n in published if n.endswith(kind)] for kind in ('.weight', '.bias')}
    first, last, bias = names['.weight'][0], names['.weight'][-1], names['.bias'][-1]
    if variant.kind == 'heads':
        inputs = settings['channels'][0] if 'width' in settings else 0
    else:
        inputs = settings['in_channels']
    if inputs == 3:
        swapped[first] = published[first].flip(1)
    if settings.get('out_channels') == 3:
        swapped[last] = swapped[last].flip(0)
        swapped[bias] = published[bias].flip(0 if published[bias].dim() == 1 else 1)
    return swapped
