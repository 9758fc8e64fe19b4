"""Where half precision must not reach: sums over many positions or channels."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def full_precision(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Leave autocast and give the tensors back in float32 (float64 stays float64).

    Norms, means and cosines over thousands of float16 values overflow or lose their last
    digits; the matrices here are small beside the networks, so full precision costs little.

    Args:
        *tensors (Tensor): Tensors of one device.

    Yields:
        tuple[Tensor, ...]: The same tensors, float32 or wider.
    """
    wide = tuple(t if t.dtype == torch.float64 else t.float() for t in tensors)
    with torch.autocast(device_type=tensors[0].device.type, enabled=False):
        yield wide
