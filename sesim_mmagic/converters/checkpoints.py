"""Published files together are a checkpoint of this package, and a checkpoint is such files again.

Published networks see RGB. A checkpoint of them says so (``output_channel_order='RGB'`` of its data
preprocessor), and keeps their weights as they are. Of a checkpoint whose training saw BGR, the
default here, the colours of first and last layers change places.
"""

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import Tensor

from sesim_mmagic.engine.plain_settings import read_settings
from sesim_mmagic.registry import MODELS
from sesim_mmagic.utils.messages import first_lines
from sesim_mmagic.utils.weights import differences
from sesim_mmagic.version import __version__

from .networks import Network, convert

#: Letter of a network's file, and where it stands in a checkpoint: beginning of its names, and the
#: pattern of domain and name in it. An average comes after what it is of, and takes its place.
_PLACES = {
    'generator': ('G', 'generators.{}.', r'generators\.([^.]+)\.(.+)'),
    'average': ('G', 'generator_ema.module.{}.', r'generator_ema\.module\.([^.]+)\.(.+)'),
    'discriminator': ('D', 'discriminators.{}.', r'discriminators\.([^.:]+)\.(.+)'),
    'heads': ('F', 'structure_loss.heads.', r'structure_loss\.heads\.()(.+)'),
    'perceptrons': ('F', 'structure_loss.', r'structure_loss\.()(mlp_\d+\..+)'),
}
#: Layers whose features the authors' heads and perceptrons see, by their number.
_LAYERS: dict[tuple[str, int], tuple] = {
    ('heads', 3): ('relu3_1', 'relu4_1', 'relu4_3'),
    ('perceptrons', 3): (0, 2, 4),
    ('perceptrons', 5): (0, 4, 8, 12, 16),
}


def join(
    files: Mapping[str, Mapping[str, Tensor]],
    source: str,
    target: str,
    files_back: Mapping[str, Mapping[str, Tensor]] | None = None,
    layers: Sequence[str] = (),
    tanh: bool | None = None,
) -> tuple[dict[str, Any], dict[str, Network]]:
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
        layers (Sequence[str]): Layers whose features heads see: names of VGG16's, or numbers of the
            generator's. Defaults to (): those of the authors' options.
        tanh (bool, optional): Whether a tanh ends a StyleGAN2 generator, as in F-LSeSim and not in
            CUT; its tensors are the same. Other generators need None. Defaults to None.

    Returns:
        tuple[dict, dict[str, Network]]: ``dict(meta=..., state_dict=...)``, and what each file
        holds.

    Raises:
        ValueError: If a file is no network that is known (see :func:`convert`), or files do not
            belong together.
    """
    if source == target or not all(re.fullmatch(r'[^.\s]+', name) for name in (source, target)):
        raise ValueError(
            f'source and target are different names without dots, got {source!r}, {target!r}'
        )
    ways = {target: files, source: files_back} if files_back else {target: files}
    converted = {
        domain: {name: convert(tensors, name) for name, tensors in group.items()}
        for domain, group in ways.items()
    }
    state_dict: dict[str, Tensor] = {}
    for domain, group in converted.items():
        letters = ''.join(sorted(_PLACES[network.kind][0] for network in group.values()))
        if letters not in ('G', 'DG', 'FG', 'DFG')[: 2 if files_back else 4]:
            held = ', '.join(f'{name} holds {network}' for name, network in group.items())
            raise ValueError(
                f'expected one generator into {domain!r}, maybe one discriminator, maybe (for one '
                f'direction alone) heads: {held}'
            )
        for network in group.values():
            place = _PLACES[network.kind][1].format(domain)
            state_dict |= {place + name: tensor for name, tensor in network.tensors.items()}
    networks = {_PLACES[network.kind][0]: network for network in converted[target].values()}
    model = _model_config(networks, list(ways), source, layers, tanh)
    _check_model(model, state_dict)
    meta = dict(
        cfg=Config(dict(default_scope='mmagic', model=model)).pretty_text,
        experiment_name=f'{source}2{target}',
        sesim_mmagic_version=__version__,
    )
    told = {name: network for group in converted.values() for name, network in group.items()}
    return dict(meta=meta, state_dict=state_dict), told


def _model_config(
    networks: Mapping[str, Network],
    targets: list[str],
    source: str,
    layers: Sequence[str],
    tanh: bool | None,
) -> dict[str, Any]:
    """Config of the model that translates into one or two domains; networks by their letters."""
    generator = dict(networks['G'].config)
    if tanh is not None:
        generator['tanh'] = tanh
    if ('noise' in generator) != ('tanh' in generator):
        raise ValueError(
            '--tanh (as in F-LSeSim) or --no-tanh (as in SinCUT) is needed for a StyleGAN2 '
            'generator, whose file does not say whether a tanh ends it, and for no other'
        )
    model: dict[str, Any] = dict(
        generator=generator,
        discriminator=networks['D'].config if 'D' in networks else None,
        data_preprocessor=dict(
            type='DataPreprocessor',
            data_keys=[f'img_{source}', f'img_{targets[0]}'],
            output_channel_order='RGB',
        ),
    )
    if 'F' in networks:
        chosen = tuple(int(name) if name.isdecimal() else name for name in layers)
        kind, config, tensors = networks['F']
        usual = _LAYERS.get((kind, len(config['channels'])), ())
        model['structure_loss'] = dict(config, layers=chosen or usual)
        if kind == 'heads':  # channels are those of the layers; the rest as the authors train them
            del model['structure_loss']['channels']
            features = dict(type='sesim_mmagic.VGG16Features', pretrained='torchvision')
            features['channel_order'] = 'rgb'
            model['structure_loss'] |= dict(normalize=False, feature_net=features)
    if source in targets:
        return dict(
            type='sesim_mmagic.SeSimCycleGAN',
            default_domain=targets[0],
            reachable_domains=targets,
            related_domains=targets,
            **model,
        )
    return dict(
        type='sesim_mmagic.OneSidedTranslator',
        source_domain=source,
        target_domain=targets[0],
        size_divisor=2 ** generator.get('num_downsamplings', 2),
        **model,
    )


def _check_model(model: dict[str, Any], state_dict: Mapping[str, Tensor]) -> None:
    """Raise ``ValueError`` unless the weights are those of the model that the config builds."""
    try:
        with DefaultScope.overwrite_default_scope('mmagic'), torch.device('meta'):
            built = MODELS.build(deepcopy(model)).state_dict()
        expected = {k: v for k, v in built.items() if not k.startswith('image_buffers.')}
        reason = first_lines(differences(expected, state_dict))
    except (TypeError, ValueError) as error:
        reason = str(error)
    if reason and 'structure_loss' in model:
        layers = ', '.join(map(str, model['structure_loss']['layers'])) or 'none'
        reason += f'. Name the layers that F sees by --layers (taken were: {layers})'
    if reason:
        raise ValueError(f'the files do not make one model: {reason}')


def split(checkpoint: Mapping[str, Any], where: str) -> tuple[dict[str, Network], list[str]]:
    """Published files from a checkpoint of this package, of a training or of :func:`join`.

    Args:
        checkpoint (Mapping[str, Any]): Result of ``read_checkpoint``, with its config in ``meta``.
        where (str): What it comes from, for messages.

    Returns:
        tuple[dict[str, Network], list[str]]: Networks by file name: ``latest_net_G.pth``, ...; of
        two directions ``latest_net_G_A.pth`` (into the default domain) and ``_B``. Sentences on
        what is not as in the checkpoint.

    Raises:
        ValueError: If it is no such checkpoint, or its networks have no published counterpart.
    """
    target, order = _read_config(checkpoint, where)
    parts: dict[tuple[str, str], dict[str, Tensor]] = {}
    left_out: set[str] = set()
    for name, tensor in checkpoint['state_dict'].items():
        for kind, (_, _, pattern) in _PLACES.items():
            if match := re.fullmatch(pattern, name):
                parts.setdefault((kind, match[1]), {})[match[2]] = tensor
                break
        else:
            left_out |= {name.partition('.')[0]} - {'generator_ema'}
    averaged = [domain for kind, domain in parts if kind == 'average']
    for domain in averaged:
        parts['generator', domain] = parts.pop(('average', domain))
    domains = [domain for kind, domain in parts if kind == 'generator']
    if target not in domains:
        raise ValueError(f'{where}: it has generators into {domains}, its config says {target!r}')
    files = {}
    for (kind, domain), tensors in parts.items():
        suffix = '' if len(domains) == 1 or not domain else '_A' if domain == target else '_B'
        network = convert(tensors, f'{where}, {kind} {domain}'.rstrip(), published=False)
        if order != 'RGB':
            network = network._replace(tensors=_swap_colours(network))
        files[f'latest_net_{_PLACES[kind][0]}{suffix}.pth'] = network
    remarks = {
        'Generators are the moving averages, which translate here too.': averaged,
        'From BGR, as this checkpoint was trained, to RGB.': order != 'RGB',
        f'Not written, files have no place for it: {", ".join(sorted(left_out))}.': left_out,
    }
    return files, [remark for remark, applies in remarks.items() if applies]


def _read_config(checkpoint: Mapping[str, Any], where: str) -> tuple[Any, str]:
    """Default target and channel order of the model in a checkpoint."""
    try:
        model = read_settings(checkpoint['meta']['cfg'])['model']
        order = (model.get('data_preprocessor') or {}).get('output_channel_order')
        return model.get('target_domain') or model.get('default_domain'), order or 'BGR'
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{where}: no checkpoint of this package: expected the text of a config with a 'model' "
            f"in 'meta' ({type(error).__name__}: {error})"
        ) from None


def _swap_colours(network: Network) -> dict[str, Tensor]:
    """Published weights that take and give RGB, from those for BGR.

    First and last layers see colours if they have three channels: not LSeSim's heads.
    """
    swapped = dict(network.tensors)
    first, *_, weight, bias = swapped
    if swapped[first].shape[1] == 3:
        swapped[first] = swapped[first].flip(1)
    if network.config.get('out_channels') == 3:
        for name in (weight, bias):
            swapped[name] = swapped[name].flip(swapped[name].shape.index(3))
    return swapped
