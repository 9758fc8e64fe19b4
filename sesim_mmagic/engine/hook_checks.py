"""Hooks of MMEngine and MMagic that cannot do here what they promise."""

from mmengine.hooks import EMAHook
from mmengine.runner import BaseLoop, Runner


def check_hooks(runner: Runner) -> None:
    """Refuse hooks that would fail in the middle of a run, or without a word do nothing.

    Args:
        runner (Runner): Before the first iteration, with its loops built.

    Raises:
        ValueError: There is such a hook; the message names this package's way.
    """
    for hook in runner.hooks:
        kind = type(hook)
        own = "take this package's moving average, model=dict(ema=dict(momentum=...)), instead"
        if isinstance(hook, EMAHook) and (
            hook.ema_cfg.get('update_buffers') or hook.begin_iter or hook.begin_epoch
        ):
            raise ValueError(
                f'{kind.__name__} with update_buffers, begin_iter or begin_epoch copies all state '
                f'of the model, and the image buffers grow: {own}, or leave these arguments out.'
            )
        of_mmagic = kind.__module__.startswith('mmagic.')
        if of_mmagic and kind.__name__ == 'ExponentialMovingAverageHook':
            raise ValueError(
                f"MMagic's {kind.__name__} averages {', '.join(hook.module_keys)}, which no "
                f'translation model translates with: {own}.'
            )
    for loop in (runner._val_loop, runner._test_loop):
        # MMagic's timer asks every loop for what its own loops alone know.
        if isinstance(loop, BaseLoop) and not hasattr(loop, 'total_length'):
            loop.total_length = len(loop.dataloader)
