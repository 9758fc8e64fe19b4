"""Stop a training whose losses are no longer numbers."""

import math

from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook

from sesim_mmagic.engine.hooks.common import resume_advice
from sesim_mmagic.registry import HOOKS


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Raise an error as soon as a logged value of the training is NaN or infinite.

    It runs before the checkpoint hook, so that weights spoilt by the step are never saved and
    the last good checkpoint stays.
    """

    # Ahead of logging, EMA and checkpoint hooks.
    priority = 'HIGH'

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        """Check the log variables that ``train_step`` returned.

        Raises:
            RuntimeError: A value is not finite.
        """
        for name, value in (outputs or {}).items():
            value = float(value)
            if math.isfinite(value):
                continue
            rank = f' on rank {get_rank()}' if get_world_size() > 1 else ''
            raise RuntimeError(
                f"Iteration {runner.iter + 1}: '{name}' is {value}{rank}; the "
                f'training was stopped. {resume_advice(runner)}'
            )
