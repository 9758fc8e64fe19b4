"""Mixed precision on the CPU."""

from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper

from sesim_mmagic.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class CpuAmpOptimWrapper(OptimWrapper):
    """Optimizer wrapper that trains in bfloat16 autocast on the CPU.

    MMEngine's ``AmpOptimWrapper`` refuses to work without an accelerator. bfloat16 has the range
    of float32, so the loss needs no scaling.

    Args: as :class:`mmengine.optim.OptimWrapper`.
    """

    @contextmanager
    def optim_context(self, model):
        """Enter autocast beside the contexts of gradient accumulation."""
        with super().optim_context(model), torch.autocast('cpu', dtype=torch.bfloat16):
            yield
