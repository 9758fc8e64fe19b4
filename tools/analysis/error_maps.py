"""Where content losses find that one image departs from another.

Each function compares the first of some images, the source, with every other one, and gives a
map for each layer of its loss, one error a position. The mean over a map's positions and over
the layers is the loss itself for all positions as queries, without its weight.
"""

import torch
import torch.nn.functional as F

from sesim_mmagic.functional import info_nce, self_similarity, spatial_distance

NCE_GRID = 16  # 16 x 16 queries: as many patches as PatchNCE draws in a training
CHUNK = 1024  # queries at a time, for the memory's sake


def absolute_errors(loss, images):
    """Pixel and perceptual loss: mean absolute difference over channels.

    Args:
        loss (StructureLoss): With an ``extract`` that gives what is compared.
        images (Tensor): Shape (1 + M, 3, H, W), the source first, values in [-1, 1].

    Returns:
        list[Tensor]: For each layer the errors of M images, shape (M, h, w).
    """
    return [(look[1:] - look[:1]).abs().mean(dim=1) for look in loss.extract(images)]


def spatial_errors(loss, images):
    """FSeSim and LSeSim: distance of each position's self-similarity to that of the source.

    Arguments and result: see :func:`absolute_errors`.
    """
    looks = loss.extract(images)
    if hasattr(loss, 'heads'):
        looks = [head(look) for head, look in zip(loss.heads.values(), looks, strict=True)]
    layers = []
    for features in looks:
        height, width = features.shape[2:]
        chunks = []
        for positions in torch.arange(height * width).split(CHUNK):
            maps = self_similarity(features, positions, loss.patch_size, loss.normalize)
            source = maps[:1].expand_as(maps[1:])
            chunks.append(
                spatial_distance(source, maps[1:], loss.distance, loss.normalize, reduction='none')
            )
        layers.append(torch.cat(chunks, dim=1).unflatten(1, (height, width)))
    return layers


def patch_nce_errors(loss, images, generator):
    """PatchNCE: cross-entropy of finding a patch's place in the source, on a grid of patches.

    Further arguments and result: see :func:`absolute_errors`; maps have at most ``NCE_GRID``
    rows and columns.
    """
    layers = []
    for index, features in enumerate(loss.extract(images, generator)):
        rows, columns = (grid(size) for size in features.shape[2:])
        patches = features[:, :, rows][..., columns].flatten(2).mT
        patches = loss.get_submodule(f'mlp_{index}')(patches)
        source = patches[:1].expand_as(patches[1:])
        errors = info_nce(patches[1:], source, temperature=loss.temperature, reduction='none')
        layers.append(errors.unflatten(1, (len(rows), len(columns))))
    return layers


def grid(size):
    """Centres of up to ``NCE_GRID`` equal parts of ``size`` positions."""
    count = min(size, NCE_GRID)
    return ((torch.arange(count) + 0.5) * size / count).long()


def values_of(layers):
    """The loss of each image, shape (M,): the mean over positions, then over layers."""
    return torch.stack([errors.mean(dim=(1, 2)) for errors in layers]).mean(dim=0)


def on_one_grid(layers):
    """One map an image, shape (M, h, w): the mean over layers on the grid of the finest one."""
    finest = max((errors.shape[1:] for errors in layers), key=lambda shape: shape[0])
    resized = [F.interpolate(e[None], finest, mode='bilinear')[0] for e in layers]
    return torch.stack(resized).mean(dim=0)
