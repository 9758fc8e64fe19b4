"""What a validation would stumble over is looked for before the training, not after it."""

from mmengine.hooks import Hook

from sesim_mmagic.engine.metric_check import check_metrics
from sesim_mmagic.registry import HOOKS


@HOOKS.register_module()
class MetricCheckHook(Hook):
    """Call :func:`~sesim_mmagic.engine.metric_check.check_metrics` before the training starts."""

    def before_train(self, runner):
        """Check metrics, their weights and pictures."""
        check_metrics(runner)
