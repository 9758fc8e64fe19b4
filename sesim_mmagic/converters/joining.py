"""A checkpoint made of published files.

Published networks see RGB. The checkpoint says so (``output_channel_order='RGB'`` of its data
preprocessor), which leaves the weights as they are.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor

from sesim_mmagic.networks import ResNetBlurGenerator, StyleGAN2Generator
from sesim_mmagic.networks.vgg16 import LAYERS, STAGES
from sesim_mmagic.version import __version__

from .networks import Converted, to_ours
from .variants import Variant

_WIDTHS = dict(zip(LAYERS, [width for stage in STAGES for width in stage], strict=True))
#: Layers that the authors' heads look at, tried in turn: their files do not name them.
_LSESIM_LAYERS = ('relu3_1', 'relu4_1', 'relu4_3')
_PATCH_NCE_LAYERS = ((0, 4, 8, 12, 16), (0, 2, 4))
_NORM = dict(norm_cfg=dict(type='IN'))
#: Arguments that a network must be built with and that its tensors do not show.
_UNSEEN = {'ResnetGenerator': dict(padding_mode='reflect', **_NORM), 'PatchDiscriminator': _NORM}
_WITH_ENCODER = {
    'sesim_mmagic.ResNetBlurGenerator': ResNetBlurGenerator,
    'sesim_mmagic.StyleGAN2Generator': StyleGAN2Generator,
}


def join(
    files: Mapping[str, Mapping[str, Tensor]],
    source: str,
    target: str,
    files_back: Mapping[str, Mapping[str, Tensor]] | None = None,
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
        layers (Sequence[str], optional): Layers that heads look at: names of VGG16's, or numbers
            of the generator's. Defaults to None: those of the authors' options.
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
    _check_tanh(ways, tanh)
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
    found: dict[str, str] = {}
    for name, network in converted.items():
        kind = network.variant.kind
        if kind in found:
            raise ValueError(
                f'{found[kind]} and {name} both hold a {network.variant}: one {kind} is expected '
                'for each direction'
            )
        found[kind] = name
    if 'generator' not in found:
        held = ', '.join(f'{name} holds {network.variant}' for name, network in converted.items())
        raise ValueError(f'no file holds a generator: {held or "no file was given"}')
    return {kind: converted[name] for kind, name in found.items()}


def _check_pair(there: dict[str, Converted], back: dict[str, Converted]) -> None:
    if 'heads' in there or 'heads' in back:
        raise ValueError('heads were given for a pair of directions: expected for one')
    for kind in ('generator', 'discriminator'):
        pair = [way[kind].variant if kind in way else None for way in (there, back)]
        if pair[0] != pair[1]:
            raise ValueError(
                f'the {kind}s of the two directions have to be alike, found {pair[0]} and {pair[1]}'
            )


def _check_tanh(ways: Mapping[str, Mapping[str, Converted]], tanh: bool | None) -> None:
    """Files of F-LSeSim and of CUT (SinCUT) hold equal tensors for different generators."""
    generators = {networks['generator'].variant.network for networks in ways.values()}
    asked = generators == {'sesim_mmagic.StyleGAN2Generator'}
    if asked and tanh is None:
        raise ValueError(
            "a StyleGAN2 generator's file does not say whether a tanh ends the network: give "
            '--tanh (tanh=True) for one of F-LSeSim, --no-tanh (tanh=False) for one of CUT (SinCUT)'
        )
    if not asked and tanh is not None:
        raise ValueError(
            '--tanh and --no-tanh are for StyleGAN2 generators alone: leave the option out'
        )


def _model_config(
    ways: Mapping[str, Mapping[str, Converted]],
    source: str,
    target: str,
    layers: Any,
    tanh: bool | None,
) -> dict[str, Any]:
    networks = {kind: found.variant for kind, found in ways[target].items()}
    generator, discriminator = networks['generator'], networks.get('discriminator')
    preprocessor = dict(
        type='DataPreprocessor',
        data_keys=[f'img_{source}', f'img_{target}'],
        output_channel_order='RGB',
    )
    built = dict(
        data_preprocessor=preprocessor,
        generator=_network_config(generator) | ({} if tanh is None else dict(tanh=tanh)),
        discriminator=discriminator and _network_config(discriminator),
    )
    if len(ways) == 2:
        return dict(
            type='sesim_mmagic.SeSimCycleGAN',
            default_domain=target,
            reachable_domains=[target, source],
            related_domains=[target, source],
            **built,
        )
    halvings = generator.settings.get('num_downsamplings', 2)
    model = dict(
        type='sesim_mmagic.OneSidedTranslator',
        source_domain=source,
        target_domain=target,
        size_divisor=2**halvings,
        **built,
    )
    if 'heads' in networks:
        model['structure_loss'] = _heads_config(networks['heads'], generator, layers)
    return model


def _network_config(variant: Variant) -> dict[str, Any]:
    return dict(type=variant.network, **variant.settings, **_UNSEEN.get(variant.network, {}))


def _heads_config(heads: Variant, generator: Variant, layers: Any) -> dict[str, Any]:
    """Config of the loss that the heads are of; its layers have the channels that they expect."""
    channels = heads.settings['channels']
    if heads.network == 'sesim_mmagic.LSeSimLoss':
        choices = [layers] if layers else [_LSESIM_LAYERS]
        fitting = [c for c in choices if tuple(_WIDTHS.get(name) for name in c) == channels]
        settings = dict(
            normalize=False,  # as the authors train heads
            feature_net=dict(
                type='sesim_mmagic.VGG16Features', pretrained='torchvision', channel_order='rgb'
            ),
        )
        example = f'names of {len(channels)} layers from {LAYERS[0]} to {LAYERS[-1]}'
    else:
        choices = [_numbers(layers)] if layers else _PATCH_NCE_LAYERS
        fitting = [c for c in choices if _channels_of(generator, c) == channels]
        settings = dict(heads.settings)
        example = f"numbers of {len(channels)} of the generator's layers"
    if not fitting:
        raise ValueError(
            f'{heads} do not fit the layers {" or ".join(map(str, choices))} of the feature '
            f'network: name theirs in layers ({example})'
        )
    return dict(type=heads.network, layers=tuple(fitting[0]), **settings)


def _numbers(layers: Sequence[str | int]) -> tuple[int, ...]:
    try:
        return tuple(map(int, layers))
    except ValueError:
        raise ValueError(
            f"layers of PatchNCE's perceptrons are numbers of the generator's, got {list(layers)}"
        ) from None


def _channels_of(generator: Variant, layers: Sequence[int]) -> tuple[int, ...] | None:
    """Channels of some of a generator's layers; None if it has no such layers."""
    if generator.network not in _WITH_ENCODER:
        return None
    with torch.device('meta'):
        network = _WITH_ENCODER[generator.network](**generator.settings)
    try:
        return network.feature_channels(layers)
    except ValueError:
        return None
