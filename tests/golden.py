"""The deterministic inputs behind the golden values of the tests.

``field`` gives numbers that any language can reproduce from the formula; ``smooth`` makes them
look a little like feature maps. The golden values themselves stand beside the tests that use them.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def field(shape: tuple[int, ...], seed: int) -> Tensor:
    """Pseudo-random float32 tensor in [-1, 1): ``2 (v - floor(v)) - 1`` with
    ``v = sin(12.9898 k + 78.233 seed) * 43758.5453`` in float64, ``k`` the row-major index.
    """
    k = np.arange(int(np.prod(shape)), dtype=np.float64)
    v = np.sin(12.9898 * k + 78.233 * seed) * 43758.5453
    values = 2 * (v - np.floor(v)) - 1
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)


def smooth(x: Tensor) -> Tensor:
    """5 x 5 average pooling, stride 1, of ``x`` (B, C, H, W) reflect-padded by 2: same shape."""
    return F.avg_pool2d(F.pad(x, (2, 2, 2, 2), mode='reflect'), 5, stride=1)


def printed(value, digits=7):
    """Half a unit of the last digit the golden values were printed with."""
    return 0.5 * 10**-digits + 1e-5 * abs(value)
