"""Layers of timm's models: what is known of them without weights, and their outputs as maps."""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sesim_mmagic.utils.messages import in_one_line

from .timm_models import KEYS, UnknownLayers, create_model, extractor

# Width over height of a picture whose maps tell their sides from their channels.
_ASPECT = 11


class Outline(NamedTuple):
    """What is known of some layers of a model before its weights are read."""

    #: Of red, green and blue in [0, 1], as the model was trained.
    mean: Sequence[float]
    std: Sequence[float]
    #: Names of the convolutions that take pictures.
    first_convolutions: tuple[str, ...]
    #: Height and width of a vision transformer's patch, whose multiples its pictures' sides are.
    patch: tuple[int, int]
    #: Class and register tokens, which come before those of the patches.
    prefix_tokens: int
    #: Layers that give maps (B, h, w, C).
    channels_last: frozenset[str]
    #: Of each layer's map.
    out_channels: dict[str, int]
    strides: dict[str, int]

    def maps(self, outputs: Mapping[str, Tensor], rows: int, columns: int) -> dict[str, Tensor]:
        """Outputs of the layers as maps (B, C, h, w), for a picture of so many patches."""
        maps = {}
        for layer, output in outputs.items():
            if layer.endswith(KEYS):
                output = output.chunk(3, dim=2)[1]
            if output.dim() == 3 and output.shape[1] == self.prefix_tokens + rows * columns:
                patches = output[:, self.prefix_tokens :].transpose(1, 2)
                output = patches.unflatten(2, (rows, columns))
            elif layer in self.channels_last:
                output = output.permute(0, 3, 1, 2)
            maps[layer] = output
        return maps


@functools.cache
def outline_of(name: str, layers: tuple[str, ...]) -> Outline:
    """Outline of some layers of a timm model; neither memory nor random numbers are spent.

    Raises:
        ValueError: If timm has no such model, or it has no such layers for pictures of any size.
    """
    with torch.device('meta'):
        model = create_model(name)
    # Of a convolutional model any size has whole patches.
    is_transformer = hasattr(model, 'num_prefix_tokens')
    patch = tuple(model.patch_embed.patch_size) if is_transformer else (1, 1)
    rows, columns = 256, 256 * _ASPECT
    outputs = _outputs_of(model, layers, rows * patch[0], columns * patch[1])
    first, sizes = model.pretrained_cfg['first_conv'], {k: v.shape[1:] for k, v in outputs.items()}
    outline = Outline(
        model.pretrained_cfg['mean'],
        model.pretrained_cfg['std'],
        (first,) if isinstance(first, str) else tuple(first),
        patch,
        getattr(model, 'num_prefix_tokens', 0),
        frozenset(k for k, v in sizes.items() if len(v) == 3 and _misfit(v[:2]) < _misfit(v[1:])),
        {},
        {},
    )
    for layer, maps in outline.maps(outputs, rows, columns).items():
        if _misfit(maps.shape[2:]) > math.log(1.5):  # without padding sides shrink unequally
            raise ValueError(
                f'TimmFeatures: {layer} of {name} gives no map of the picture but '
                f'{tuple(outputs[layer].shape)}; name a layer before it'
            )
        outline.out_channels[layer] = maps.shape[1]
        outline.strides[layer] = round(columns * patch[1] / maps.shape[3])
    return outline


def _outputs_of(model: Any, layers: tuple[str, ...], height: int, width: int) -> dict[str, Tensor]:
    """Outputs of layers for a picture without values."""
    try:
        # Called by itself, the network prints what fails.
        outputs = extractor(model, layers).forward(torch.zeros(1, 3, height, width, device='meta'))
        assert all(isinstance(output, Tensor) for output in outputs.values()), 'no tensors'
    except UnknownLayers:
        raise
    except Exception as error:  # a model's code may fail anyhow without a picture
        raise ValueError(
            f'TimmFeatures: {", ".join(layers)} of {type(model).__name__} cannot be computed for '
            f'pictures of any size ({in_one_line(error, 200)}); choose another model'
        ) from None
    return outputs


def _misfit(sides: Sequence[int]) -> float:
    """How far these are from the sides of a map of a picture of the aspect, 0 for no distance."""
    return abs(math.log(sides[1] / sides[0] / _ASPECT)) if len(sides) == 2 else math.inf


def fold_norms(network: fx.GraphModule) -> fx.GraphModule:
    """Fold each batch norm into the convolution before it; what the network computes stays.

    Fewer passes over memory; and PyTorch's backward of batch norm on the CPU is wrong for some
    memory formats, see ``compat``.
    """
    modules: dict[str, Any] = dict(network.named_modules())
    for node in network.graph.nodes:
        norm = modules.get(str(node.target)) if node.op == 'call_module' else None
        if not isinstance(norm, nn.BatchNorm2d):
            continue
        convolution = modules.get(str(node.args[0].target))
        if not isinstance(convolution, nn.Conv2d) or len(node.args[0].users) != 1:
            continue
        network.set_submodule(str(node.args[0].target), fuse_conv_bn_eval(convolution, norm))
        # timm's norm ends in the activation.
        network.set_submodule(str(node.target), getattr(norm, 'act', nn.Identity()))
    network.delete_all_unused_submodules()
    return network
