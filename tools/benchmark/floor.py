"""The floor of a step: its convolutions and matrix products alone, one after the other."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map
from torch.utils.benchmark import timer
from torch.utils.flop_counter import flop_registry


@dataclass(frozen=True)
class Operand:
    """What the time of an operator depends on in a tensor that it takes."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype

    def tensor(self, device: str) -> torch.Tensor:
        """A tensor like it, of random numbers: zeros can be multiplied faster."""
        last = sum((n - 1) * step for n, step in zip(self.size, self.stride, strict=True))
        numbers = torch.randn(1 + last, dtype=self.dtype, device=device)
        return numbers.as_strided(self.size, self.stride)


@dataclass(frozen=True)
class Call:
    """An operator with its arguments; tensors are replaced by :class:`Operand`."""

    operator: str
    overload: str
    arguments: tuple
    options: tuple

    def seconds(self, device: str) -> float:
        """Wall-clock time of the call on tensors of its own."""
        arguments, options = tree_map(
            lambda value: value.tensor(device) if isinstance(value, Operand) else value,
            (self.arguments, dict(self.options)),
        )
        function = getattr(getattr(torch.ops.aten, self.operator), self.overload)
        function(*arguments, **options)  # chooses an algorithm
        begin = timer()  # waits for the GPU
        function(*arguments, **options)
        return timer() - begin


class CallRecorder(TorchDispatchMode):
    """Counts the calls of operators that multiply: those whose multiply-adds PyTorch knows."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[Call] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Run the operator and record it."""
        if func.overloadpacket in flop_registry:
            arguments, options = tree_map(_described, (_hashable(args), kwargs or {}))
            name, overload = func.overloadpacket.__name__, func._overloadname
            self.calls[Call(name, overload, arguments, tuple(options.items()))] += 1
        return func(*args, **(kwargs or {}))


def _described(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return Operand(tuple(value.shape), value.stride(), value.dtype)
    return value


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value


def floor_seconds(calls: Counter[Call], device: str) -> float:
    """Time of recorded calls, each kind measured once.

    Args:
        calls (Counter[Call]): Calls of a step.
        device (str): Where they run.

    Returns:
        float: Seconds.
    """
    with torch.no_grad():
        return sum(count * call.seconds(device) for call, count in calls.items())
