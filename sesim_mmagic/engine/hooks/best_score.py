"""By which score a checkpoint is the best: which way it counts, and whether it is there at all."""

import math
from logging import Logger

from mmengine.runner import BaseLoop

# Parts of the names of scores; MMEngine looks for them in this order, without regard to case.
GREATER_IS_BETTER = (
    'psnr',
    'ssim',
    'iou',
    'f1',
    'accuracy',
    'precision',
    'recall',
    'density',
    'coverage',
    'diversity/',
    'colouring/',
    '/map',
    '/style',
)
LESS_IS_BETTER = ('fid', 'kid', 'lpips', 'distance', 'swd', 'loss')


def check_evaluated(keys: list[str], val_loop: BaseLoop | None) -> None:
    """Raise an error if it is certain before a training that a score will not be evaluated.

    Args:
        keys (list[str]): Names of scores, with the prefix of their metric, or 'auto'.
        val_loop (BaseLoop | None): Validation loop of the training.

    Raises:
        ValueError: There is no validation, or no metric in it that gives scores of such a name.
    """
    advice = 'Add the metric to val_evaluator, or set save_best=None.'
    if val_loop is None:
        raise ValueError(
            f'save_best={keys}, but there is no validation: set val_dataloader, val_cfg and '
            'val_evaluator, or save_best=None.'
        )
    prefixes = [getattr(metric, 'prefix', None) for metric in val_loop.evaluator.metrics]
    if not prefixes:
        raise ValueError(f'save_best={keys}, but val_evaluator holds no metric. {advice}')
    if None in prefixes:  # such a metric may call its scores anything
        return
    for key in keys:
        if key != 'auto' and not any(key.startswith(f'{prefix}/') for prefix in prefixes):
            raise ValueError(
                f"save_best='{key}', but the scores of val_evaluator begin with "
                f'{sorted({f"{prefix}/" for prefix in prefixes})}. {advice}'
            )


def chosen_scores(
    keys: list[str], metrics: dict[str, float], logger: Logger
) -> dict[str, float | None]:
    """Pick the scores that decide about the best checkpoint.

    Args:
        keys (list[str]): Names of scores; 'auto' is the first one evaluated.
        metrics (dict): Scores of a validation.
        logger (Logger): Told of scores that are not finite.

    Returns:
        dict[str, float | None]: A number for each key, None where it is not finite: such a score
        never is the best (a PSNR of infinity could not be beaten any more).

    Raises:
        ValueError: A score was not evaluated.
    """
    keys = list(metrics)[:1] if 'auto' in keys else keys
    missing = [key for key in keys if key not in metrics]
    if missing or not keys:
        raise ValueError(
            f'save_best={missing or "auto"}, but no score of this name was evaluated. '
            f'Evaluated: {sorted(metrics) or "nothing; val_evaluator holds no metric"}.'
        )
    scores = {key: float(metrics[key]) for key in keys}
    for key, score in scores.items():
        if not math.isfinite(score):
            logger.warning(f"'{key}' is {score}: no checkpoint becomes the best by that.")
    return {key: score if math.isfinite(score) else None for key, score in scores.items()}
