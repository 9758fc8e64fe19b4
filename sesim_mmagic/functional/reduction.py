"""What becomes of the values of single queries: their mean, or the values themselves."""

from torch import Tensor

REDUCTIONS = ('mean', 'none')


def reduce(values: Tensor, reduction: str) -> Tensor:
    """The mean of ``values`` or, for ``'none'``, ``values``.

    Raises:
        ValueError: If ``reduction`` is neither.
    """
    if reduction not in REDUCTIONS:
        raise ValueError(f'reduction must be one of {REDUCTIONS}, got {reduction!r}')
    return values.mean() if reduction == 'mean' else values
