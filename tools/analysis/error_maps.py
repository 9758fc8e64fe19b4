"""Where content losses find that one image departs from another.

Each function compares the first of some images, the source, with every other one, and gives a
map for each layer of its loss, one error a position. The mean over a map's positions and over
the layers is the loss itself for all positions as queries, without its weight.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sesim_mmagic.functional import info_nce, self_similarity, spatial_distance

NCE_GRID = 16  # 16 x 16 queries: as many patches as PatchNCE draws in a training
CHUNK = 1024  # queries at a time, for the memory's sake


def absolute_errors(loss: nn.Module, images: Tensor) -> list[Tensor]:
    """Pixel and perceptual loss: mean absolute difference over channels.

    Args:
        loss (StructureLoss): With an ``extract`` that gives what is compared.
        images (Tensor): Shape (1 + M, 3, H, W), the source first, values in [-1, 1].

    Returns:
        list[Tensor]: For each layer the errors of M images, shape (M, h, w).
    """
    return [(maps[1:] - maps[:1]).abs().mean(dim=1) for maps in loss.extract(images)]


def spatial_errors(loss: nn.Module, images: Tensor) -> list[Tensor]:
    """FSeSim and LSeSim: distance of each position's self-similarity to that of the source.

    Arguments and result: see :func:`absolute_errors`.
    """
    layers = []
    for maps in loss.project(loss.extract(images)):
        errors = []
        for positions in torch.arange(maps[0, 0].numel()).split(CHUNK):
            similarity = self_similarity(maps, positions, loss.patch_size, loss.normalize)
            source, others = similarity[:1].expand_as(similarity[1:]), similarity[1:]
            errors.append(
                spatial_distance(source, others, loss.distance, loss.normalize, reduction='none')
            )
        layers.append(torch.cat(errors, dim=1).unflatten(1, maps.shape[2:]))
    return layers


def patch_nce_errors(loss: nn.Module, images: Tensor, generator: nn.Module) -> list[Tensor]:
    """PatchNCE: cross-entropy of finding a patch's place in the source, on a grid of patches.

    Further arguments and result: see :func:`absolute_errors`; maps have at most ``NCE_GRID``
    rows and columns, at the centres of as many equal parts.
    """
    layers = []
    for index, maps in enumerate(loss.extract(images, generator)):
        counts = [min(size, NCE_GRID) for size in maps.shape[2:]]
        rows, columns = (
            ((torch.arange(count) + 0.5) * size / count).long()
            for count, size in zip(counts, maps.shape[2:], strict=True)
        )
        patches = loss.get_submodule(f'mlp_{index}')(maps[:, :, rows][..., columns].flatten(2).mT)
        source = patches[:1].expand_as(patches[1:])
        errors = info_nce(patches[1:], source, temperature=loss.temperature, reduction='none')
        layers.append(errors.unflatten(1, counts))
    return layers


def values_of(layers: list[Tensor]) -> Tensor:
    """The loss of each image, shape (M,): the mean over positions, then over layers."""
    return torch.stack([errors.mean(dim=(1, 2)) for errors in layers]).mean(dim=0)


def on_one_grid(layers: list[Tensor]) -> Tensor:
    """One map an image, shape (M, h, w): the mean over layers on the grid of the finest one."""
    finest = max((errors.shape[1:] for errors in layers), key=lambda shape: shape[0])
    resized = [F.interpolate(e[None], finest, mode='bilinear')[0] for e in layers]
    return torch.stack(resized).mean(dim=0)
