"""Training on the CPU: mixed precision, and what becomes of memory that a step has freed."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from time import process_time

import torch
from mmengine.optim import OptimWrapper
from torch import nn

from sesim_mmagic.registry import OPTIM_WRAPPERS

# Parameters of glibc's mallopt and the largest values it takes for them.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _LARGEST = -1, -3, 2**31 - 1


@OPTIM_WRAPPERS.register_module()
class CpuAmpOptimWrapper(OptimWrapper):
    """Optimizer wrapper that trains in bfloat16 autocast on the CPU.

    MMEngine's ``AmpOptimWrapper`` refuses to work without an accelerator. bfloat16 has the range
    of float32, so the loss needs no scaling.

    Args: as :class:`mmengine.optim.OptimWrapper`.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Enter autocast beside the contexts of gradient accumulation."""
        with super().optim_context(model), torch.autocast('cpu', dtype=torch.bfloat16):
            yield


def bfloat16_speed() -> float:
    """How many times as fast as in float32 this processor computes in bfloat16.

    It is measured, in about half a second: some processors that list bfloat16 among their
    instructions take nearly twice as long in it.

    Returns:
        float: Processor time of a convolution, forward and backward, in float32 over that in
        bfloat16, on one thread: several that wait for each other on a busy machine count their
        waiting. The median of pairs, since other work disturbs it.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return median(_float32_over_bfloat16())
    finally:
        torch.set_num_threads(threads)


def _float32_over_bfloat16() -> list[float]:
    """Quotients of processor times, of nine pairs."""
    steps = []
    for dtype in (torch.float32, torch.bfloat16):
        convolution = nn.Conv2d(64, 64, 3, padding=1, dtype=dtype)
        steps.append((convolution, torch.zeros(1, 64, 64, 64, dtype=dtype, requires_grad=True)))
    ratios = []
    for _ in range(9):
        times = []
        for convolution, maps in steps:
            begin = process_time()
            convolution(maps).sum().backward()
            times.append(process_time() - begin)
        ratios.append(times[0] / times[1])
    return ratios


def keep_freed_memory() -> bool:
    """Let this process keep the memory it frees, for the next step on the CPU.

    A step on the CPU frees its maps, and glibc hands large ones back to the operating system at
    once, page by page; the next step gets them anew, zeroed page by page. That takes about a
    tenth of a step. GPU memory is kept by PyTorch itself.

    Returns:
        bool: Whether the memory allocator could be told so; only glibc's can.
    """
    if not sys.platform.startswith('linux'):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library
        return False
    return all(mallopt(name, _LARGEST) == 1 for name in (_MMAP_THRESHOLD, _TRIM_THRESHOLD))
