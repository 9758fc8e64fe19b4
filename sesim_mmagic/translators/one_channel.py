"""Generators of one channel, for medical and infrared pictures.

Pictures have three channels everywhere: files are read so, feature networks, metrics and pages
take them so. A grey picture has three equal ones. Only the convolutions at the two ends of a
network of one channel know better: the first takes one of the three, the last one gives its
channel three times.
"""

from typing import Any

import torch
from torch import Tensor, nn

# Weights of blue, green and red in the luminance of ITU-R BT.601, as Pillow's mode L.
_BGR = (0.114, 0.587, 0.299)


def adapt_channels(model: Any) -> None:
    """Let networks of one channel take and give three equal ones; make their domains grey.

    Colour pictures of these domains become grey in the data preprocessor, inputs and samples, so
    that discriminators, losses and metrics compare grey with grey.

    Args:
        model (Translator): With ``generators``, by their target, and maybe ``discriminators``;
            changed in place, names of weights are not.

    Raises:
        ValueError: If networks of a domain disagree about its channels.
    """
    channels: dict[str, set[int]] = {}
    for target, generator in model.generators.items():
        given, made = _adapt(generator, expand=True)
        channels.setdefault(target, set()).add(made)
        channels.setdefault(model.domains[target], set()).add(given)
    for discriminator in (model.discriminators or {}).values():
        _adapt(discriminator, expand=False)
    for domain, numbers in channels.items():
        if len(numbers - {0}) > 1 or numbers - {0, 1, 3}:
            raise ValueError(
                f'generators give or take {sorted(numbers)} channels in the domain {domain!r}; set '
                'in_channels and out_channels of the generator to 3, or to 1 for grey pictures'
            )
    grey = {domain for domain, numbers in channels.items() if 1 in numbers}
    if grey:
        model.data_preprocessor.register_forward_hook(_Grey(grey, model.data_preprocessor))


class _Grey:
    """Forward hook of a data preprocessor: pictures of some domains get three equal channels."""

    def __init__(self, domains: set[str], preprocessor: nn.Module) -> None:
        self.keys = tuple(f'img_{domain}' for domain in domains)
        order = getattr(preprocessor, 'output_channel_order', None) or 'BGR'
        self.weights = _BGR if order == 'BGR' else _BGR[::-1]

    def __call__(self, preprocessor: nn.Module, args: tuple, output: dict) -> dict:
        for key in self.keys:
            if key in output['inputs']:
                output['inputs'][key] = _to_grey(output['inputs'][key], self.weights)
        samples = output['data_samples']
        training = len(args) > 1 and args[1]
        for key in self.keys if samples is not None else ():
            if key in samples.keys():
                picture = _to_grey(samples.get(key), self.weights if training else _BGR)
                samples.set_tensor_data({key: picture})
        return output


def _to_grey(images: Tensor, weights: tuple[float, ...]) -> Tensor:
    """Luminance, three times; grey images (..., 3, H, W) stay what they are, bit for bit."""
    first = images[..., :1, :, :]
    if torch.equal(images, first.expand_as(images)):
        return images
    channels = images.float().unbind(-3)
    parts = [weight * channel for weight, channel in zip(weights, channels, strict=True)]
    grey = parts[0] + parts[1] + parts[2]
    if not images.is_floating_point():
        grey = grey.round()
    return grey.to(images.dtype).unsqueeze(-3).expand_as(images).contiguous()


def _adapt(network: nn.Module, expand: bool) -> tuple[int, int]:
    """Channels that a network takes and gives; of one channel its ends are adapted.

    Convolutions of MMagic's networks and of this package have a weight (out, in, height, width).
    """
    layers: list[Any] = [m for m in network.modules() if _is_convolution(m)]
    if not layers:
        return 0, 0
    given, made = layers[0].weight.shape[1], layers[-1].weight.shape[0]
    if isinstance(layers[-1], nn.ConvTranspose2d):
        made = layers[-1].weight.shape[1]
    for layer in layers:  # an encoder of styles has a first convolution, too
        if given < 3 and layer.weight.shape[1] == given:
            layer.register_forward_pre_hook(_take_one_of_three)
    if expand and made == 1:
        layers[-1].register_forward_hook(_give_three)
    return given, made


def _is_convolution(module: nn.Module) -> bool:
    weight = getattr(module, 'weight', None)
    return isinstance(weight, Tensor) and weight.dim() == 4


def _take_one_of_three(layer: Any, args: tuple) -> tuple:
    """Of one picture, or of several on top of each other as pix2pix judges them."""
    images = args[0]
    if images.shape[1] != 3 * layer.weight.shape[1]:
        return args
    return images[:, ::3], *args[1:]


def _give_three(layer: nn.Module, args: tuple, output: Tensor) -> Tensor:
    return output.expand(-1, 3, -1, -1)
