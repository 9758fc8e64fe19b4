"""Refuse the checkpoint of another model."""

from mmengine.hooks import Hook

from sesim_mmagic.engine.weights import (
    adapt_names,
    differences,
    plain_names,
    unwrapped,
    with_average,
)
from sesim_mmagic.registry import HOOKS
from sesim_mmagic.utils.checkpoints import last_checkpoint

_SHOWN = 5


@HOOKS.register_module()
class CheckpointMatchHook(Hook):
    """Raise an error where a checkpoint does not fit the model; MMEngine warns and goes on.

    A test and a training that starts from ``load_from`` need the networks named by ``prefixes``;
    a resume needs all weights. Not compared are parts that the checkpoint or the model lacks for
    a reason: image buffers (they grow while training) and, outside a resume, the rest.

    Checkpoints that MMagic wrote on several ranks hold ``generators.module.*``: their names are
    adapted to the model's. A released checkpoint has the moving average in the place of the
    generators: outside a resume it is both of the model's.

    Args:
        prefixes (tuple[str]): Beginnings of the names that always have to fit.
    """

    def __init__(self, prefixes=('generators.', 'generator_ema.')):
        self.prefixes = tuple(prefixes)

    def after_load_checkpoint(self, runner, checkpoint):
        """Compare the checkpoint with the model before it is loaded.

        Raises:
            ValueError: Weights are missing, unknown or of another shape.
        """
        expected = plain_names(runner.model, unwrapped(runner.model).state_dict())
        found = adapt_names(expected, checkpoint.get('state_dict', checkpoint))
        if not runner._resume:
            found = with_average(expected, found)
        if 'state_dict' in checkpoint:
            checkpoint['state_dict'] = found

        def compared(weights):
            return {k: v for k, v in weights.items() if self._compared(k, runner._resume)}

        lines = differences(compared(expected), compared(found))
        if lines:
            raise ValueError(mismatch_message(_name(runner), type(unwrapped(runner.model)), lines))

    def _compared(self, key, resuming):
        if resuming:
            return not key.startswith('image_buffers.')
        return key.startswith(self.prefixes)


def mismatch_message(path, model_class, lines):
    """Say which checkpoint does not fit which model, why, and what to do."""
    shown = '; '.join(lines[:_SHOWN])
    if len(lines) > _SHOWN:
        shown += f'; and {len(lines) - _SHOWN} more'
    return (
        f"Checkpoint '{path}' is not one of this {model_class.__name__}: {shown}. "
        'Use the config that the checkpoint was trained with.'
    )


def _name(runner):
    if runner._load_from is not None:
        return runner._load_from
    return last_checkpoint(runner.work_dir) or 'checkpoint'
