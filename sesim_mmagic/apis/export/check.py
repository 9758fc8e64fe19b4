"""How an exported file is compared with the model it comes from."""

from copy import deepcopy

import torch
import torch.nn.functional as F

_SMALLEST_UNIT = 64


def example_size(graph):
    """A size to trace a graph at: none of those that are compared afterwards."""
    unit = _unit(graph.divisor)
    return unit + 2 * graph.divisor, unit + 3 * graph.divisor


def sizes_to_compare(graph, size, noise_fixed=False):
    """Sizes to compare: square and not, multiples of the divisor and not, the smallest side."""
    from sesim_mmagic.apis.export.graph import noisy_layers

    divisor, unit = graph.divisor, _unit(graph.divisor)
    if size is not None:
        if min(size) <= divisor:
            raise ValueError(f'height and width must be larger than {divisor}, got {tuple(size)}')
        return [list(size)] * 3
    if noisy_layers(graph) and not noise_fixed:
        raise ValueError(
            'the generator adds noise that PyTorch draws for each size: give the size of your '
            'pictures (--size HEIGHT WIDTH), for which it becomes part of the file'
        )
    return [
        [unit, unit],
        [unit + divisor, 2 * unit - 1],
        [unit + divisor // 2 + 1, unit + divisor],
        [2 * unit + 1, divisor + 1],
    ]


def example(graph, model, size, seed=0):
    """Inputs of a size: a picture of smooth shapes and some noise, maybe a style."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 8, 8, generator=generator) * 2 - 1
    image = F.interpolate(coarse, size=tuple(size), mode='bilinear', align_corners=False)
    image = (image + 0.1 * torch.randn(image.shape, generator=generator)).clamp(-1, 1)
    if 'style' not in graph.inputs:
        return (image,)
    return image, torch.randn(1, model.style_channels, generator=generator)


@torch.no_grad()
def largest_difference(model, graph, target, run, sizes):
    """Largest absolute difference between a loaded file and the model's own inference.

    Infinite where shapes differ, not a number where a value is none.

    Raises:
        ValueError: If the file cannot compute one of the sizes.
    """
    model = deepcopy(model).cpu().float().eval()
    largest = 0.0
    for number, size in enumerate(sizes):
        image, *style = inputs = example(graph, model, size, seed=number)
        wanted = next(model.translations(image, target, *style))[:, 0]
        try:
            found = run(*inputs)
        except Exception as error:  # each runtime has its own
            raise ValueError(f'the file fails at {size[0]} x {size[1]}: {error}') from error
        if found.shape != wanted.shape:
            return float('inf')
        # A maximum that lets NaN through: it has to fail the comparison with the bound.
        largest = torch.maximum((found - wanted).abs().max(), torch.tensor(largest)).item()
    return largest


def _unit(divisor):
    """A small side that suits the generator."""
    return max(2 * divisor, -(-_SMALLEST_UNIT // divisor) * divisor)
