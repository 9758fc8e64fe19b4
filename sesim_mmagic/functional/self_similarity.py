"""Self-similarity maps and the distance between two of them.

Structure is how an image's features resemble each other; appearance is what they are. A
self-similarity map compares query positions of one feature map with keys around them, and
the spatially-correlative loss compares the maps of two images, never their features
(Zheng, Cham, Cai, "The Spatially-Correlative Loss for Various Image Translation Tasks",
CVPR 2021, Sec. 3.1 and 3.2).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .precision import full_precision
from .reduction import reduce

DISTANCES = ('cos', 'l1')


def sample_positions(
    height: int,
    width: int,
    num_patches: int,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Draw query positions of a feature map without replacement.

    Args:
        height (int): Height of the feature map, in positions.
        width (int): Width of the feature map, in positions.
        num_patches (int): Number of positions; ``-1``, or more than there are, gives every
            position (``-1`` in row-major order).
        generator (torch.Generator, optional): Source of randomness, on ``device``.
            Defaults to torch's global generator of that device.
        device (torch.device | str, optional): Where the positions live. Defaults to the CPU.

    Returns:
        Tensor: Shape (N,), int64, row-major: ``position = row * width + column``.

    Raises:
        ValueError: If a size is not positive, or ``num_patches`` is neither positive nor -1.

    >>> sample_positions(2, 3, num_patches=-1)
    tensor([0, 1, 2, 3, 4, 5])
    """
    if height < 1 or width < 1:
        raise ValueError(f'height and width must be positive, got {height} x {width}')
    check_num_patches(num_patches)
    if num_patches == -1:
        return torch.arange(height * width, device=device)
    order = torch.randperm(height * width, generator=generator, device=device)
    return order[:num_patches]


def self_similarity(
    features: Tensor, positions: Tensor, patch_size: int, normalize: bool = True
) -> Tensor:
    """Similarity of query positions to the keys in a window around each of them.

    With the features ``f`` less their mean over positions, row n of the map is::

        S[n, k] = <f_n, f_k> / (|f_n| |f_k|)        or raw:  tanh(<f_n, f_k> / (10 C))

    for the keys k in a window around n (Zheng et al., CVPR 2021, Sec. 3.1). Every query is
    compared with every position in one matrix product, and the windows are gathered from that:
    memory grows with ``N * H * W``, not with ``N * C * patch_size^2``.

    Args:
        features (Tensor): Feature map of one layer, shape (B, C, H, W).
        positions (Tensor): Query positions, shape (N,), int64, in ``[0, H * W)`` (see
            :func:`sample_positions`); the same for every image of the batch.
        patch_size (int): Side of the window of keys, in positions. The window's corner is
            ``patch_size // 2`` up and left of the query, moved inside the map at its
            borders. If the map is not larger than the window both ways, the keys are all
            positions.
        normalize (bool): Compare directions (cosine similarity, values in [-1, 1]) or, if
            False, scaled dot products squashed by ``tanh(x / 10)``. Defaults to True.

    Returns:
        Tensor: Shape (B, N, K), ``K = patch_size^2`` or ``H * W``; float32, or float64 for
        float64 features.

    Raises:
        ValueError: If a shape does not fit or ``patch_size`` is not positive.

    >>> features = torch.rand(1, 8, 16, 16)
    >>> positions = sample_positions(16, 16, num_patches=10)
    >>> self_similarity(features, positions, patch_size=4).shape
    torch.Size([1, 10, 16])
    """
    if features.dim() != 4:
        raise ValueError(f'features must have shape (B, C, H, W), got {tuple(features.shape)}')
    if positions.dim() != 1 or positions.dtype != torch.int64:
        raise ValueError(
            'positions must be one-dimensional int64, got '
            f'shape {tuple(positions.shape)} of {positions.dtype}'
        )
    if patch_size < 1:
        raise ValueError(f'patch_size must be positive, got {patch_size}')

    height, width = features.shape[2:]
    with full_precision(features) as (wide,):
        keys = (wide - wide.mean(dim=(2, 3), keepdim=True)).flatten(2)
        queries = keys.index_select(2, positions)
        # Scales go to the queries and to the windows: both are smaller than the map.
        if normalize:
            queries = F.normalize(queries, dim=1)
        else:
            queries = queries / keys.shape[1]
        similarity = _products(queries, keys)
        windowed = patch_size < height and patch_size < width
        if windowed:
            window = _window_positions(positions, height, width, patch_size)
            similarity = similarity.gather(2, window.expand(similarity.shape[0], -1, -1))
        if not normalize:
            return torch.tanh(similarity / 10)
        # Not vector_norm, which is five times slower over a dimension that is not the last.
        norms = keys.square().sum(dim=1).clamp_min(1e-24).sqrt()
        return similarity / (norms[:, window] if windowed else norms[:, None])


def _products(queries: Tensor, keys: Tensor) -> Tensor:
    """Dot products of (B, C, N) and (B, C, K), shape (B, N, K)."""
    if keys.device.type != 'cpu' or keys.dtype != torch.float32:
        return torch.bmm(queries.transpose(1, 2), keys)
    # On the CPU a convolution of width 1, with a group per image, takes half the time: the library
    # behind bmm holds back on some processors, the one behind convolutions does not.
    batch, channels, num_queries = queries.shape
    kernels = queries.transpose(1, 2).reshape(batch * num_queries, channels, 1)
    products = F.conv1d(keys.reshape(1, batch * channels, -1), kernels, groups=batch)
    return products.view(batch, num_queries, -1)


def _window_positions(positions: Tensor, height: int, width: int, patch_size: int) -> Tensor:
    """Row-major positions of each query's window of keys, shape (N, patch_size^2)."""
    rows = positions.div(width, rounding_mode='floor')
    columns = positions.remainder(width)
    top = (rows - patch_size // 2).clamp(0, height - patch_size)
    left = (columns - patch_size // 2).clamp(0, width - patch_size)
    steps = torch.arange(patch_size, device=positions.device)
    offsets = (steps[:, None] * width + steps).flatten()
    return (top * width + left)[:, None] + offsets


def spatial_distance(
    source_map: Tensor,
    translated_map: Tensor,
    distance: str = 'cos',
    normalized: bool = True,
    reduction: str = 'mean',
) -> Tensor:
    """Distance between two self-similarity maps of the same queries and keys.

    With ``k = K // 4`` and the keys of each row alone that the translation finds most similar,
    those at or above its (k + 1)-th largest value (the others are 0 in both maps)::

        cos:  d = mean over rows of |1 - cos(S_source, S_translated)|
        l1:   d = mean of K / k * |S_source - S_translated|

    (Zheng et al., CVPR 2021, Sec. 3.1). The selection itself carries no gradient.

    Args:
        source_map (Tensor): Shape (B, N, K), from :func:`self_similarity`.
        translated_map (Tensor): Shape (B, N, K), same queries and keys as ``source_map``.
        distance (str): ``'cos'``: one minus the cosine of the two rows, averaged over rows;
            ``'l1'``: mean absolute difference, scaled by ``K / (K // 4)``. Defaults to 'cos'.
        normalized (bool): Whether the maps come from normalized features. If False, the
            differences go through smooth L1 (beta 1), as in the authors' training.
            Defaults to True.
        reduction (str): ``'mean'`` over queries and images, or ``'none'``: the distance of
            each query, for maps of where structure was lost. Defaults to 'mean'.

    Returns:
        Tensor: A non-negative scalar or, for ``'none'``, shape (B, N).

    Raises:
        ValueError: If the shapes differ, there are fewer than 4 keys, or ``distance`` or
            ``reduction`` is unknown.

    >>> source_map = torch.tensor([[[1.0, 0.0, 0.5, 0.2]]])
    >>> spatial_distance(source_map, 3 * source_map) < 1e-6  # cosine is blind to scale
    tensor(True)
    >>> spatial_distance(source_map, source_map + 0.1, distance='l1')
    tensor(0.2000)
    """
    if source_map.shape != translated_map.shape or source_map.dim() != 3:
        raise ValueError(
            'source_map and translated_map must have one shape (B, N, K), got '
            f'{tuple(source_map.shape)} and {tuple(translated_map.shape)}'
        )
    check_distance(distance)
    num_keys = source_map.shape[2]
    num_kept = num_keys // 4
    if num_kept < 1:
        raise ValueError(
            f'a self-similarity map needs at least 4 keys per query, got {num_keys}; '
            'use a patch_size of 2 or more and features of at least 2 x 2 positions'
        )

    with full_precision(source_map, translated_map) as (source, translated):
        source, translated = _keep_most_similar(source, translated, num_kept)
        if distance == 'cos':
            similarity = F.cosine_similarity(source, translated, dim=2)
            rows = _difference(torch.ones_like(similarity), similarity, normalized)
        else:
            scale = num_keys / num_kept
            rows = _difference(scale * source, scale * translated, normalized).mean(dim=2)
        return reduce(rows, reduction)


def check_num_patches(num_patches: int) -> None:
    """Raise ``ValueError`` unless :func:`sample_positions` takes this number."""
    if num_patches != -1 and num_patches < 1:
        raise ValueError(
            f'num_patches must be a positive number, or -1 for every position; got {num_patches}'
        )


def check_distance(distance: str) -> None:
    """Raise ``ValueError`` unless ``distance`` is one that :func:`spatial_distance` knows."""
    if distance not in DISTANCES:
        raise ValueError(f'distance must be one of {DISTANCES}, got {distance!r}')


def _keep_most_similar(source: Tensor, translated: Tensor, num_kept: int) -> tuple[Tensor, Tensor]:
    """Zero both where the translation is below its (num_kept + 1)-th largest value of the row."""
    rank_from_below = translated.shape[2] - num_kept
    threshold = translated.detach().kthvalue(rank_from_below, dim=2, keepdim=True).values
    kept = translated.detach() >= threshold
    return source * kept, translated * kept


def _difference(source: Tensor, translated: Tensor, normalized: bool) -> Tensor:
    compare = F.l1_loss if normalized else F.smooth_l1_loss
    return compare(source, translated, reduction='none')
