"""A moving average of networks that makes no accelerator wait."""

from typing import Any

import torch
from mmengine.model import ExponentialMovingAverage
from torch import Tensor


class MovingAverage(ExponentialMovingAverage):
    """MMEngine's moving average, which counts its updates in a plain number.

    MMEngine counts in a buffer and compares it with numbers twice an update. On an accelerator each
    comparison waits for everything that was queued before. In checkpoints the count is what it
    was.

    Args:
        *args, **kwargs: Those of MMEngine's ``ExponentialMovingAverage``.
    """

    steps: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self.steps
        self.steps = 0

    def _save_to_state_dict(
        self, destination: dict[str, Tensor], prefix: str, keep_vars: bool
    ) -> None:
        """Save the number of updates as MMEngine does."""
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[f'{prefix}steps'] = torch.tensor(self.steps)

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Take over the number of updates."""
        saved = state_dict.pop(f'{prefix}steps', None)
        if saved is not None:
            self.steps = int(saved)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
