"""Outputs of numbered layers, for losses that look through a generator."""

from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn


class LayeredGenerator(BaseModule):
    """A generator of which some layers, numbered from 0, may be asked for their outputs.

    A subclass has :attr:`in_channels` and :attr:`encoding_layers`.
    """

    in_channels: int

    @property
    def encoding_layers(self) -> nn.Sequential:
        """The numbered layers."""
        raise NotImplementedError

    def encode(self, images: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Outputs of some layers, without computing what comes after them.

        Args:
            images (Tensor): As for :meth:`forward`.
            layers (Sequence[int]): Numbers of layers, ascending.

        Returns:
            list[Tensor]: One map (B, C, h, w) per layer, C as :meth:`feature_channels` says.
        """
        return run_layers(self.encoding_layers[: layers[-1] + 1], images, layers)[1]

    def feature_channels(self, layers: Sequence[int]) -> tuple[int, ...]:
        """Channels of the outputs of some layers.

        Raises:
            ValueError: If the numbers are not ascending, or not those of layers.
        """
        layers = list(layers)
        last = len(self.encoding_layers) - 1
        if layers != sorted(set(layers)) or not set(layers) <= set(range(last + 1)):
            raise ValueError(f'layers must be ascending numbers from 0 to {last}, got {layers}')
        channels, current = [], self.in_channels
        for layer in self.encoding_layers:
            # A block ends in as many channels as its last convolution has outputs.
            kernels = [weight for weight in layer.parameters() if weight.dim() == 4]
            current = len(kernels[-1]) if kernels else current
            channels.append(current)
        return tuple(channels[layer] for layer in layers)


def run_layers(
    modules: nn.Sequential, images: Tensor, layers: Sequence[int]
) -> tuple[Tensor, list[Tensor]]:
    """Call modules one after the other, and keep the outputs of some, numbered from 0, ascending.

    Returns:
        tuple[Tensor, list[Tensor]]: Output of the last module, and those of the wanted ones.
    """
    features, wanted, begin = images, [], 0
    for end in [*(layer + 1 for layer in layers), len(modules)]:
        if begin and begin < end and getattr(modules[begin], 'inplace', False):
            features = features.clone()  # the activation would overwrite what was asked for
        features = modules[begin:end](features)
        wanted.append(features)
        begin = end
    return features, wanted[:-1]
