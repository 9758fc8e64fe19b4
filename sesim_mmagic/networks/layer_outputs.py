"""Outputs of numbered layers, for losses that look through a generator."""

from collections.abc import Iterable, Sequence

from torch import Tensor, nn


def run_layers(
    modules: Iterable[nn.Module], images: Tensor, layers: Sequence[int]
) -> tuple[Tensor, list[Tensor]]:
    """Call modules one after the other and keep the outputs of some.

    Args:
        modules (Iterable[nn.Module]): Layers, numbered from 0.
        images (Tensor): Input of the first.
        layers (Sequence[int]): Numbers of the wanted ones, ascending.

    Returns:
        tuple[Tensor, list[Tensor]]: Output of the last module, and those of the wanted ones.
    """
    features, wanted = images, []
    for index, module in enumerate(modules):
        if getattr(module, 'inplace', False) and index - 1 in layers:
            features = features.clone()  # the activation would overwrite what was asked for
        features = module(features)
        if index in layers:
            wanted.append(features)
    return features, wanted


def channels_of(channels: Sequence[int], layers: Sequence[int]) -> tuple[int, ...]:
    """Channels of the outputs of some layers.

    Args:
        channels (Sequence[int]): Channels of the output of every layer.
        layers (Sequence[int]): Numbers of layers.

    Raises:
        ValueError: If the numbers are not ascending, or not those of layers.
    """
    layers = list(layers)
    if layers != sorted(set(layers)) or not set(layers) <= set(range(len(channels))):
        raise ValueError(
            f'layers must be ascending numbers from 0 to {len(channels) - 1}, got {layers}'
        )
    return tuple(channels[layer] for layer in layers)
