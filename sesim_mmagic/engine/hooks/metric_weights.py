"""Weights of metrics are looked for before a training, not at its first validation."""

from mmengine.hooks import Hook

from sesim_mmagic.registry import HOOKS


@HOOKS.register_module()
class MetricWeightsHook(Hook):
    """Read the weights that the metrics of the validation need before the training starts.

    It calls ``init_weights`` of the metrics that have it. A file that is missing stops the run at
    once; otherwise hours of training would come first.
    """

    def before_train(self, runner):
        """Read the weights.

        Raises:
            FileNotFoundError: A file is missing or cannot be downloaded.
            ValueError: A file holds something else.
        """
        if runner.val_loop is None:
            return
        for metric in runner.val_loop.evaluator.metrics:
            if hasattr(metric, 'init_weights'):
                metric.init_weights()
