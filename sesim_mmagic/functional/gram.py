"""Gram matrix of a feature map: the statistic that style losses compare."""

import torch
from torch import Tensor

from .precision import full_precision


def gram_matrix(features: Tensor) -> Tensor:
    """Channel correlations, averaged over positions and channels.

    Args:
        features (Tensor): Shape (B, C, H, W).

    Returns:
        Tensor: Shape (B, C, C), ``F F^T / (C H W)`` with ``F`` the features of one image as
        a (C, H W) matrix (Gatys et al., CVPR 2016; normalized as in Johnson et al., ECCV 2016).
    """
    with full_precision(features) as (flat,):
        flat = flat.flatten(2)
        return torch.bmm(flat, flat.transpose(1, 2)) / (flat.shape[1] * flat.shape[2])
