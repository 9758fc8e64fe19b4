"""One network at a time: told by its tensors, to this package's names and shapes, and back."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sesim_mmagic.losses.lsesim import projection_head
from sesim_mmagic.losses.patch_nce import perceptron
from sesim_mmagic.registry import MODELS
from sesim_mmagic.utils.messages import first_lines
from sesim_mmagic.utils.weights import differences

from .layouts import layout

#: What tensors are of whose names begin like this.
_FOREIGN = {
    r'model\.model\.|net\.\d': 'a UNet generator or a discriminator of single pixels',
    r'(enc(_content|_style)?|dec|gen|cnns|(content|style)_encoder|scales)\.': 'networks of MUNIT',
    r'module\.': "networks with 'module.' before some names or twice: take it away",
    r'(generators|discriminators|structure_loss)\.': 'a checkpoint, which from_sesim.py takes',
}


class Network(NamedTuple):
    """A network, told by its tensors.

    Attributes:
        kind (str): 'generator', 'discriminator', 'heads' (LSeSim's) or 'perceptrons' (PatchNCE's).
        config (dict): Its type and what its tensors show of its arguments.
        tensors (dict[str, Tensor]): Its weights by name.
    """

    kind: str
    config: dict[str, Any]
    tensors: Mapping[str, Tensor]

    def __str__(self) -> str:
        shown = {k: v for k, v in self.config.items() if not isinstance(v, str | dict)}
        arguments = ', '.join(f'{name}={value}' for name, value in shown.items())
        return f'{self.config["type"].split(".")[-1]}({arguments})'

    def build(self) -> nn.Module:
        """The network without memory for its weights, on the device 'meta'."""
        with torch.device('meta'):
            channels = enumerate(self.config.get('channels', ()))
            if self.kind == 'heads':
                return nn.ModuleDict({f'conv_{i}': projection_head(c) for i, c in channels})
            if self.kind == 'perceptrons':
                width = self.config['width']
                return nn.ModuleDict({f'mlp_{i}': perceptron(c, width) for i, c in channels})
            return MODELS.build(self.config)


def convert(tensors: Mapping[str, Tensor], where: str, published: bool = True) -> Network:
    """Tell a network by its tensors, and give these the names and shapes of the other side.

    Args:
        tensors (Mapping[str, Tensor]): Content of a ``latest_net_*.pth`` of CycleGAN, CUT, FastCUT
            or F-LSeSim, all names with ``module.`` before them or none; or the state dict of one
            network here (of LSeSim, of its heads).
        where (str): What they come from, for messages.
        published (bool): Whether they come from such a file; otherwise they become one, in its
            order and with its blur kernels. Defaults to True.

    Returns:
        Network: Its tensors share memory with ``tensors``. Blur kernels, whose values are checked,
        and running statistics of instance norms, which nothing uses, have no place here.

    Raises:
        ValueError: If it is no network that this package knows, if tensors are missing, unknown or
            of another shape, or if blur kernels have other values.
    """
    if published and all(name.startswith('module.') for name in tensors):
        # CUT's code writes files like that when it trains without a GPU.
        tensors = {name.removeprefix('module.'): value for name, value in tensors.items()}
    network = _recognize(tensors, where, published)
    try:
        slots = list(layout(network.build()))
    except Exception as error:  # numbers that no network has; each layer has its own
        raise ValueError(f'{where}: looks like {network}, which cannot be: {error}') from None
    here, there = (0, 1) if published else (1, 0)
    # Some files have running statistics.
    slots = [s for s in slots if s.names[1] or not s.tensors[0].is_meta or s.names[0] in tensors]
    expected = {slot.names[here]: slot.tensors[here] for slot in slots if slot.names[here]}
    # A network with other blur kernels is another network, whatever its weights are.
    problems = differences(expected, tensors) or [
        f"'{name}' has other values than the blur of this network"
        for name, kernel in expected.items()
        if not kernel.is_meta and not torch.equal(tensors[name].float(), kernel)
    ]
    if problems:
        raise ValueError(
            f'{where}: looks like {network}, but {first_lines(problems)} (supported: instance '
            'norm, not batch norm; blurs in both directions or in none)'
        )
    like, converted = next(iter(tensors.values())), {}
    for names, shaped in slots:
        if names[here] and names[there]:
            converted[names[there]] = tensors[names[here]].reshape(shaped[there].shape)
        elif names[there]:
            converted[names[there]] = shaped[there].to(like, copy=True).contiguous()
    return network._replace(tensors=converted)


def _recognize(tensors: Mapping[str, Tensor], where: str, published: bool) -> Network:
    """A network without its tensors, from some of their names and shapes."""
    known = {**_FOREIGN, **_candidates(tensors, published)}
    for beginning, what in known.items():
        if any(re.match(beginning, name) for name in tensors):
            if isinstance(what, str):
                raise ValueError(f'{where}: not converted, it holds {what}')
            return Network(what[0], dict(type=what[1], **what[2]), {})
    raise ValueError(
        f'{where}: holds no network that is converted, its tensors are called {list(tensors)[:3]}; '
        'expected a generator (ResNet, StyleGAN2), a discriminator (PatchGAN, StyleGAN2) or heads '
        '(LSeSim, PatchNCE), of CycleGAN, CUT or F-LSeSim'
    )


def _candidates(tensors: Mapping[str, Tensor], published: bool) -> dict[str, tuple]:
    """Kind, type and arguments of networks by how their tensors' names begin; the first fits.

    Layers are counted by tensors that are there, whatever numbers their names hold.
    """
    # Norms' weights have one dimension; StyledConv's have one more in files.
    weights = {k: v.shape[-4:] for k, v in tensors.items() if k.endswith('.weight') and v.dim() > 1}
    shapes = [tuple(shape) for shape in weights.values()] or [(0, 0)]

    def count(pattern: str) -> int:
        return len({match[0] for name in weights if (match := re.match(pattern, name))})

    judge: dict[str, Any] = dict(in_channels=shapes[0][1], base_channels=shapes[0][0])
    translate = dict(judge, out_channels=shapes[-1][0])
    heads = dict(channels=tuple(shape[1] for shape in shapes[::2]))
    halvings = count(r'(encoder\.)?(convs\.)?\d+\.skip\.')
    half = count(r'encoder\.(convs\.)?\d+\.conv1\.') - halvings
    stylegan2 = dict(translate, num_blocks=2 * half, num_downsamplings=halvings)
    stylegan2['noise'] = any('noise' in name for name in tensors)
    width, inputs = shapes[-2:][0][:2]
    last_size = 4 if inputs == 4 * 4 * width else 8  # CUT's, F-LSeSim's
    crops = dict(judge, size=last_size * 2**halvings, last_size=last_size)

    between = max(count(r'model\.\d+\.(conv\.)?weight$') - 2, 0)  # the first and the last layer
    dropout = count(r'model\.\d+\.(conv_block\.6\.|block\.2\.)') > 0
    resnet = dict(translate, num_blocks=count(r'model\.\d+\.(conv_)?block\.'))
    # Kernels are in files alone; here the convolutions of MMagic, which has no blurs, are parts.
    blurs = any(k.endswith('.filt') for k in tensors) if published else not count(r'.*\.conv\.')
    if blurs:
        generator, discriminator = 'sesim_mmagic.ResNetBlurGenerator', 'sesim_mmagic.BlurPatchGAN'
        resnet |= dict(num_downsamplings=between // 2, dropout=0.5 * dropout)
        patches = dict(judge, num_layers=between)
    else:
        generator, discriminator = 'mmagic.ResnetGenerator', 'mmagic.PatchDiscriminator'
        resnet |= dict(use_dropout=dropout, padding_mode='reflect', norm_cfg=dict(type='IN'))
        patches = dict(judge, num_conv=between, norm_cfg=dict(type='IN'))
    return {
        r'encoder\.': ('generator', 'sesim_mmagic.StyleGAN2Generator', stylegan2),
        r'(final_)?linear\.': ('discriminator', 'sesim_mmagic.StyleGAN2Discriminator', crops),
        r'conv_\d+\.': ('heads', 'sesim_mmagic.LSeSimLoss', heads),
        r'mlp_\d+\.': ('perceptrons', 'sesim_mmagic.PatchNCELoss', dict(heads, width=shapes[0][0])),
        r'model\.\d+\.(conv_)?block\.': ('generator', generator, resnet),
        r'model\.\d+\.': ('discriminator', discriminator, patches),
    }
