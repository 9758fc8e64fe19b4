"""Contrastive loss between matching rows of two sets: LSeSim's heads, and PatchNCE.

Rows are embeddings of the same positions in two images (self-similarity maps in LSeSim, patch
features in PatchNCE). A row's positive is the same row of the other image; every other row is a
negative (van den Oord et al., "Representation Learning with Contrastive Predictive Coding", 2018).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .precision import full_precision
from .reduction import reduce


def info_nce(
    query: Tensor,
    positive: Tensor,
    other: Tensor | None = None,
    temperature: float = 0.07,
    reduction: str = 'mean',
) -> Tensor:
    """Cross-entropy of finding each row's positive among all rows.

    With L2-normalized rows ``q``, ``p`` and ``o`` of an image, that of its n-th row is::

        loss_n = -log(e(q_n, p_n) / sum over m of [e(q_n, p_m) + e(q_n, o_m) + e(p_n, o_m)])
        e(x, y) = exp(<x, y> / temperature)

    (Zheng et al., CVPR 2021, Eq. 5, as trained).

    Args:
        query (Tensor): Shape (B, N, K).
        positive (Tensor): Shape (B, N, K); row n belongs to row n of ``query``.
        other (Tensor, optional): Extra negatives, shape (B, M, K): rows of another image,
            compared with both ``query`` and ``positive``. Defaults to None.
        temperature (float): Positive; smaller values stress the hardest negatives.
            Defaults to 0.07.
        reduction (str): ``'mean'`` over rows and images, or ``'none'``: the cross-entropy of
            each row. Defaults to 'mean'.

    Returns:
        Tensor: A non-negative scalar or, for ``'none'``, shape (B, N).

    Raises:
        ValueError: If shapes do not fit, the temperature is not positive, or ``reduction`` is
            unknown.

    >>> query = torch.eye(4)[None]
    >>> info_nce(query, query) < info_nce(query, query.flip(1))
    tensor(True)
    """
    if query.dim() != 3 or query.shape != positive.shape:
        raise ValueError(
            'query and positive must have one shape (B, N, K), got '
            f'{tuple(query.shape)} and {tuple(positive.shape)}'
        )
    if other is not None and (other.dim() != 3 or other.shape[::2] != query.shape[::2]):
        raise ValueError(
            f'other must have shape (B, M, K) = ({query.shape[0]}, M, {query.shape[2]}), got '
            f'{tuple(other.shape)}'
        )
    if temperature <= 0:
        raise ValueError(f'temperature must be positive, got {temperature}')

    tensors = (query, positive) if other is None else (query, positive, other)
    with full_precision(*tensors) as wide:
        rows = [F.normalize(tensor, dim=2) for tensor in wide]
        products = [torch.bmm(rows[0], rows[1].transpose(1, 2))]
        if other is not None:
            negatives = rows[2].transpose(1, 2)
            products += [torch.bmm(rows[0], negatives), torch.bmm(rows[1], negatives)]
        logits = torch.cat(products, dim=2).flatten(0, 1) / temperature
        labels = torch.arange(query.shape[1], device=query.device).repeat(query.shape[0])
        losses = F.cross_entropy(logits, labels, reduction='none').view(query.shape[:2])
        return reduce(losses, reduction)
