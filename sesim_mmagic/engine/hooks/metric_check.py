"""What a validation would stumble over is looked for before the training, not after it."""

from mmengine.hooks import Hook

from sesim_mmagic.engine.weights import unwrapped
from sesim_mmagic.registry import HOOKS


@HOOKS.register_module()
class MetricCheckHook(Hook):
    """Check the metrics of the validation before the training starts.

    Their domains have to be the model's, and the weights that they need are read (``init_weights``
    of the metrics that have it). Otherwise hours of training would come before the error.
    """

    def before_train(self, runner):
        """Check domains and read weights.

        Raises:
            FileNotFoundError: A file is missing or cannot be downloaded.
            ValueError: A file holds something else, or a metric measures another domain.
        """
        if runner.val_loop is None:
            return
        reachable = getattr(unwrapped(runner.model), '_reachable_domains', None)
        for metric in runner.val_loop.evaluator.metrics:
            domain = getattr(metric, 'target_domain', None)
            if reachable is not None and domain is not None and domain not in reachable:
                raise ValueError(
                    f'val_evaluator: {type(metric).__name__} measures translations into '
                    f"'{domain}', the model translates into {list(reachable)}: set target_domain "
                    'and source_domain of the metrics in val_evaluator and test_evaluator'
                )
            if hasattr(metric, 'init_weights'):
                metric.init_weights()
