"""Published files together become a checkpoint of this package.

Published networks see RGB. The checkpoint says so (``output_channel_order='RGB'`` of its data
preprocessor), which leaves the weights as they are.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config
from torch import Tensor

from sesim_mmagic.networks.vgg16 import LAYERS, STAGES
from sesim_mmagic.version import __version__

from .layouts import build, full_config
from .networks import Converted, Variant, to_ours

_WIDTHS = dict(zip(LAYERS, [width for stage in STAGES for width in stage], strict=True))
#: Layers whose features the authors' heads take, tried in turn: their files do not name them.
_LAYERS: dict[str, tuple[tuple, ...]] = {
    'sesim_mmagic.LSeSimLoss': (('relu3_1', 'relu4_1', 'relu4_3'),),
    'sesim_mmagic.PatchNCELoss': ((0, 4, 8, 12, 16), (0, 2, 4)),
}

StateDict = Mapping[str, Tensor]


def join(
    files: Mapping[str, StateDict],
    source: str,
    target: str,
    files_back: Mapping[str, StateDict] | None = None,
    layers: Sequence[str] | None = None,
    tanh: bool | None = None,
) -> tuple[dict[str, Any], dict[str, Converted]]:
    """A checkpoint of this package from published files.

    One direction becomes a ``OneSidedTranslator``, two become a ``SeSimCycleGAN``. The checkpoint
    holds a config that builds the model: ``init_translator(None, path)`` translates with it.

    Args:
        files (Mapping[str, Mapping]): Content of published files by what they are called in
            messages: a generator from source to target, maybe its discriminator, maybe heads.
        source (str): Name of the source domain.
        target (str): Name of the target domain.
        files_back (Mapping[str, Mapping], optional): Generator and maybe discriminator of the way
            back (CycleGAN's ``G_B`` and ``D_B``). Defaults to None.
        layers (Sequence[str], optional): Layers whose features heads take: names of VGG16's, or
            numbers of the generator's. Defaults to None: those of the authors' options.
        tanh (bool, optional): Whether a tanh ends a StyleGAN2 generator, as in F-LSeSim and not in
            CUT; its tensors are the same. Other generators need None. Defaults to None.

    Returns:
        tuple[dict, dict[str, Converted]]: ``dict(meta=..., state_dict=...)``, and what became of
        each file.

    Raises:
        ValueError: If a file is no network that is known (see :func:`identify`), or files do not
            belong together.
    """
    if source == target or not all(re.fullmatch(r'[^.\s]+', name) for name in (source, target)):
        raise ValueError(
            f'source and target are different names without dots, got {source!r}, {target!r}'
        )
    converted = {name: to_ours(state_dict, name) for name, state_dict in files.items()}
    back = {name: to_ours(state_dict, name) for name, state_dict in (files_back or {}).items()}
    ways = {target: _by_kind(converted)}
    if back:
        ways[source] = _by_kind(back)
        _check_pair(*ways.values())
    model = _model_config(ways, source, target, layers, tanh)
    state_dict = {
        f'{kind}s.{domain}.{name}': tensor
        for kind in ('generator', 'discriminator')
        for domain, networks in ways.items()
        if kind in networks
        for name, tensor in networks[kind].state_dict.items()
    }
    if 'heads' in ways[target]:
        heads = ways[target]['heads'].state_dict
        state_dict.update({f'structure_loss.{name}': tensor for name, tensor in heads.items()})
    meta = dict(
        cfg=Config(dict(default_scope='mmagic', model=model)).pretty_text,
        experiment_name=f'{source}2{target}',
        sesim_mmagic_version=__version__,
    )
    return dict(meta=meta, state_dict=state_dict), {**converted, **back}


def _by_kind(converted: Mapping[str, Converted]) -> dict[str, Converted]:
    names: dict[str, str] = {}
    for name, network in converted.items():
        kind = network.variant.kind
        if kind in names:
            raise ValueError(
                f'{names[kind]} and {name} both hold a {network.variant}: one {kind} is expected '
                'for each direction'
            )
        names[kind] = name
    if 'generator' not in names:
        held = ', '.join(f'{name} holds {network.variant}' for name, network in converted.items())
        raise ValueError(f'no file holds a generator: {held or "no file was given"}')
    return {kind: converted[name] for kind, name in names.items()}


def _check_pair(there: dict[str, Converted], back: dict[str, Converted]) -> None:
    if 'heads' in there or 'heads' in back:
        raise ValueError('heads were given for a pair of directions: expected for one')
    for kind in ('generator', 'discriminator'):
        pair = [way[kind].variant if kind in way else None for way in (there, back)]
        if pair[0] != pair[1]:
            raise ValueError(
                f'the {kind}s of the two directions have to be alike, found {pair[0]} and {pair[1]}'
            )


def _model_config(
    ways: Mapping[str, Mapping[str, Converted]],
    source: str,
    target: str,
    layers: Sequence[str] | None,
    tanh: bool | None,
) -> dict[str, Any]:
    networks = {kind: network.variant for kind, network in ways[target].items()}
    generator = networks['generator']
    _check_tanh(generator, tanh)
    settings: dict[str, Any] = {'discriminator': None}
    for kind in networks.keys() - {'heads'}:
        settings[kind] = full_config(networks[kind].network, networks[kind].settings)
    if tanh is not None:
        settings['generator']['tanh'] = tanh
    settings['data_preprocessor'] = dict(
        type='DataPreprocessor',
        data_keys=[f'img_{source}', f'img_{target}'],
        output_channel_order='RGB',
    )
    if len(ways) == 2:
        domains = [target, source]
        return dict(
            type='sesim_mmagic.SeSimCycleGAN',
            default_domain=target,
            reachable_domains=domains,
            related_domains=domains,
            **settings,
        )
    if 'heads' in networks:
        settings['structure_loss'] = _heads_config(networks['heads'], generator, layers)
    return dict(
        type='sesim_mmagic.OneSidedTranslator',
        source_domain=source,
        target_domain=target,
        size_divisor=2 ** generator.settings.get('num_downsamplings', 2),
        **settings,
    )


def _check_tanh(generator: Variant, tanh: bool | None) -> None:
    """Files of F-LSeSim and of CUT (SinCUT) hold equal tensors for different generators."""
    needed = generator.network == 'sesim_mmagic.StyleGAN2Generator'
    if needed and tanh is None:
        raise ValueError(
            "a StyleGAN2 generator's file does not say whether a tanh ends the network: give "
            '--tanh (tanh=True) for one of F-LSeSim, --no-tanh (tanh=False) for one of CUT (SinCUT)'
        )
    if not needed and tanh is not None:
        raise ValueError(
            '--tanh and --no-tanh are for StyleGAN2 generators alone: leave the option out'
        )


def _heads_config(
    heads: Variant, generator: Variant, layers: Sequence[str] | None
) -> dict[str, Any]:
    """Config of the loss that the heads are of; its layers have the channels that they expect."""
    settings = dict(heads.settings)
    channels = settings['channels']
    choices = [tuple(layers)] if layers else list(_LAYERS[heads.network])
    if heads.network == 'sesim_mmagic.LSeSimLoss':
        fitting = [c for c in choices if tuple(_WIDTHS.get(name) for name in c) == channels]
        feature_net = dict(
            type='sesim_mmagic.VGG16Features', pretrained='torchvision', channel_order='rgb'
        )
        settings = dict(normalize=False, feature_net=feature_net)  # as the authors train heads
        example = f'names of {len(channels)} layers from {LAYERS[0]} to {LAYERS[-1]}'
    else:
        if not all(str(layer).isdecimal() for choice in choices for layer in choice):
            raise ValueError(
                "layers of PatchNCE's perceptrons are numbers of the generator's, got "
                f'{list(choices[0])}'
            )
        choices = [tuple(map(int, choice)) for choice in choices]
        fitting = [c for c in choices if _channels_of(generator, c) == channels]
        example = f"numbers of {len(channels)} of the generator's layers"
    if not fitting:
        raise ValueError(
            f'{heads} do not fit the layers {" or ".join(map(str, choices))} of the feature '
            f'network: name theirs in layers ({example})'
        )
    return dict(type=heads.network, layers=tuple(fitting[0]), **settings)


def _channels_of(generator: Variant, layers: Sequence[int]) -> tuple[int, ...] | None:
    """Channels of some of a generator's layers; None if it has no such layers."""
    network = build(generator.network, generator.settings)
    try:
        return network.feature_channels(layers)
    except (AttributeError, ValueError):  # MMagic's generator has no features to take
        return None
