"""Published files made of a checkpoint.

Published networks see RGB. Of a checkpoint whose training saw BGR, the default here, the colours of
the first and last layers change places.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from sesim_mmagic.engine.plain_settings import read_settings

from .networks import swap_colours, to_published
from .variants import Variant, identify

_LETTERS = dict(generator='G', discriminator='D', heads='F')


@dataclass
class Split:
    """Published files of a checkpoint.

    Args:
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

    Returns:
        Split: The files.

    Raises:
        ValueError: If it is no such checkpoint, or its networks have no published counterpart.
    """
    meta, weights = checkpoint.get('meta'), checkpoint.get('state_dict')
    if not isinstance(meta, Mapping) or not isinstance(meta.get('cfg'), str) or not weights:
        raise ValueError(
            f"{where}: no checkpoint of this package: expected 'state_dict' and the text of a "
            f"config in 'meta', found {sorted(map(str, checkpoint))[:5]}"
        )
    try:
        model = read_settings(meta['cfg']).get('model')
    except ValueError as error:
        raise ValueError(f'{where}: the config in it cannot be read: {error}') from None
    if not isinstance(model, dict):
        raise ValueError(f"{where}: the config in it has no 'model'")
    groups, left_out = _group(weights)
    try:
        averaged = _take_averages(groups, weights)
    except KeyError as error:
        raise ValueError(f'{where}: the moving average lacks {error} of a generator') from None
    target = model.get('target_domain') or model.get('default_domain')
    domains = [domain for kind, domain in groups if kind == 'generator']
    if not domains or target not in domains:
        raise ValueError(f'{where}: it has generators into {domains}, its config says {target!r}')
    preprocessor = model.get('data_preprocessor') or {}
    if not isinstance(preprocessor, dict):
        raise ValueError(f"{where}: 'data_preprocessor' of the config in it is no dictionary")
    order = preprocessor.get('output_channel_order') or 'BGR'
    result = Split({}, {}, averaged, order == 'BGR', left_out)
    for (kind, domain), network in groups.items():
        suffix = '' if len(domains) == 1 or domain is None else '_A' if domain == target else '_B'
        name = f'latest_net_{_LETTERS[kind]}{suffix}.pth'
        part = f'{where}, {kind} {domain or ""}'.rstrip()
        variant = identify(network, part, published=False)
        published = to_published(network, part)
        result.files[name] = swap_colours(published, variant) if result.swapped else published
        result.variants[name] = variant
    return result


def _group(weights: Mapping[str, Tensor]) -> tuple[dict[tuple, dict[str, Tensor]], list[str]]:
    """State dicts by kind and domain; first parts of all other names."""
    groups: dict[tuple, dict[str, Tensor]] = {}
    left_out = set()
    for name, tensor in weights.items():
        network = re.match(r'(generator|discriminator)s\.([^.]+)\.(.+)', name)
        heads = re.match(r'structure_loss\.((?:heads\.conv|mlp)_\d+\..+)', name)
        if network:
            groups.setdefault(network.groups()[:2], {})[network[3]] = tensor
        elif heads:
            groups.setdefault(('heads', None), {})[heads[1]] = tensor
        elif not name.startswith('generator_ema.'):
            left_out.add(name.partition('.')[0])
    return groups, sorted(left_out)


def _take_averages(groups: dict[tuple, dict[str, Tensor]], weights: Mapping[str, Tensor]) -> bool:
    """Put the moving averages of all domains in the place of their generators."""
    averages = {
        name.removeprefix('generator_ema.module.'): tensor
        for name, tensor in weights.items()
        if name.startswith('generator_ema.module.')
    }
    for kind, domain in groups if averages else ():
        if kind == 'generator':
            network = groups[kind, domain]
            groups[kind, domain] = {name: averages[f'{domain}.{name}'] for name in network}
    return bool(averages)
