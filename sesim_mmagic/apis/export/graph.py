"""What leaves PyTorch when a generator is exported: its graph, for pictures of any size."""

import inspect
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sesim_mmagic.networks.equalized_layers import UpsampleConv
from sesim_mmagic.translators import Translator


class TranslationGraph(nn.Module):
    """A generator with padding and cropping around it: (1, 3, H, W) both ways, in [-1, 1].

    Args:
        generator (nn.Module): Takes images whose sides are multiples of ``divisor``.
        divisor (int): H and W must be larger than it.
        encoder (nn.Module, optional): Makes the content that ``generator.decode`` takes beside a
            style, (1, S), the second input. Defaults to None: the generator takes images.
    """

    def __init__(
        self, generator: nn.Module, divisor: int, encoder: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.generator: Any = generator
        self.divisor = divisor
        self.encoder = encoder

    def forward(self, image: Tensor, style: Tensor | None = None) -> Tensor:
        sides = image.shape[2:]
        padded = [(side + self.divisor - 1) // self.divisor * self.divisor for side in sides]
        image = _resized(image, *padded)
        if self.encoder is None:
            translated = self.generator(image)
        else:
            translated = self.generator.decode(self.encoder(image), style)
        return _resized(translated, *sides)


def _resized(images: Tensor, height: int, width: int) -> Tensor:
    """Cut images at the bottom and right, or grow them there by reflection.

    Rows and columns are picked by number: ``torch.export`` cannot prove of unknown sides that a
    slice or a reflection fits.
    """
    for dim, side in ((2, height), (3, width)):
        last = images.size(dim) - 1
        numbers = last - (last - torch.arange(side, device=images.device)).abs()
        images = images.index_select(dim, numbers)
    return images


@torch.no_grad()
def trace(
    model: Translator, target: str, inputs: tuple[Tensor, ...], any_size: bool
) -> torch.export.ExportedProgram:
    """Export what translates into a domain by ``torch.export``: in float32, on the CPU.

    Args:
        model (Translator): Is not changed.
        target (str): The domain.
        inputs (tuple[Tensor, ...]): An example: an image (1, 3, H, W) in [-1, 1], maybe a style.
        any_size (bool): Whether height and width stay free; otherwise they are those of the
            example, and StyleGAN2's noise becomes a part of the program.
    """
    generator, encoder = deepcopy(model.inference_generators[target]), None
    if model.style_channels:
        encoder = deepcopy(model.content_encoder(target).content_encoder)
        del generator.content_encoder, generator.style_encoder
    graph = TranslationGraph(generator, model.size_divisor, encoder).requires_grad_(False)
    graph = graph.to('cpu', torch.float32).to(memory_format=torch.contiguous_format)
    sides = None
    if any_size:
        names = {2: 'height', 3: 'width'}
        sides = {dim: torch.export.Dim(name, min=graph.divisor + 1) for dim, name in names.items()}
    shapes = (sides, *[None] * (len(inputs) - 1))
    with model.inference_mode(graph):
        if not any_size:
            _fix_noise(graph, inputs)
        with _ShortSums():
            return torch.export.export(graph, inputs, dynamic_shapes=shapes, strict=False)


def noisy_layers(graph: nn.Module) -> list[UpsampleConv]:
    """Layers whose output depends on noise."""
    layers = [module for module in graph.modules() if isinstance(module, UpsampleConv)]
    return [layer for layer in layers if layer.noise_weight is not None]


def _fix_noise(graph: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Keep the noise that PyTorch draws for inputs of this size."""

    def keep(layer: UpsampleConv, args: tuple, output: Tensor) -> None:
        layer.register_buffer('fixed_noise', layer.draw_noise(output))
        layer.draw_noise = lambda features: layer.get_buffer('fixed_noise')  # type: ignore[method-assign]  # for this copy alone

    hooks = [layer.register_forward_hook(keep) for layer in noisy_layers(graph)]
    graph(*inputs)
    for hook in hooks:
        hook.remove()


class _ShortSums(TorchFunctionMode):
    """Norms sum over one axis after the other, in two passes, which keeps their digits.

    The norms of onnxruntime add a picture's pixels up one by one: on pictures of 768 pixels they
    are 10 to 20 times as far from the true values.
    """

    # One image's batch norm with its own statistics is its instance norm; one group's, layer norm.
    axes = {F.batch_norm: (3, 2), F.instance_norm: (3, 2), F.group_norm: (3, 2, 1)}

    def __torch_function__(
        self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        if function in self.axes:
            given = inspect.signature(function).bind(*args, **(kwargs or {}))
            given.apply_defaults()
            norm = given.arguments
            if norm.get('running_mean') is None and norm.get('num_groups', 1) == 1:
                return _normalized(norm, self.axes[function])
        return function(*args, **(kwargs or {}))


def _normalized(norm: dict[str, Any], axes: Sequence[int]) -> Tensor:
    def mean(values: Tensor) -> Tensor:
        for axis in axes:
            values = values.mean(axis, keepdim=True)
        return values

    centered = norm['input'] - mean(norm['input'])
    normalized = centered / (mean(centered.square()) + norm['eps']).sqrt()
    if norm['weight'] is None:
        return normalized
    return normalized * norm['weight'][:, None, None] + norm['bias'][:, None, None]
