"""Training steps that take turns, each in a process of its own, and what is measured of them."""

import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from statistics import median
from typing import Any

import torch
from floor import CallRecorder, floor_seconds
from measuring import Worker, forget_peak, peak_mb, table
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.benchmark import Timer, timer
from torch.utils.flop_counter import flop_registry


class Step:
    """A step that is measured, the only one of its process.

    Args:
        spec (dict): What the step is to be. All have ``device``, ``threads`` and the numbers of
            rounds, ``warmup`` and ``repeats``.
    """

    def __init__(self, spec: dict) -> None:
        self.spec = spec

    def start(self) -> None:
        """What is done once, before the first step."""

    def data(self) -> Any:
        """What a step takes; it is drawn before the time counts."""

    def step(self, data: Any) -> None:
        """The step itself."""
        raise NotImplementedError

    def parts(self) -> dict[str, nn.Module]:
        """Modules by what they are in the step; a weight counts for the first that holds it."""
        return {}

    def to_count(self) -> 'Step':
        """The same step as the counter of multiply-adds can see through it."""
        return self

    def seconds(self) -> float:
        """Wall-clock time of one step."""
        data = self.data()
        begin = timer()  # waits for the GPU
        self.step(data)
        return timer() - begin

    def counts(self) -> dict[str, int]:
        """Multiply-adds of a step by part."""
        step = self.to_count()
        step.step(step.data())  # what is done once is no part of a step
        with PartCounter(step.parts()) as counter:
            step.step(step.data())
        return {part: flops // 2 for part, flops in counter.flops.items()}

    def operators(self) -> int:
        """Operators of a step that compute something: about as many kernels of a GPU."""
        step = self.to_count()
        step.step(step.data())
        with OperatorCounter() as counter:
            step.step(step.data())
        return counter.count


class PartCounter(TorchDispatchMode):
    """Counts convolutions with the weights of each part, forward and backward, and all the rest.

    The formulas are PyTorch's. ``FlopCounterMode`` itself goes by the module that is being called:
    it cannot tell where the backward pass of a part ends, and refuses gradient penalties.
    Convolutions whose weights are computed from parameters, as StyleGAN2's, are in no part.
    """

    # Where the operator has the weight.
    ways = {
        torch.ops.aten.convolution: ('forward', 1),
        torch.ops.aten.convolution_backward: ('backward', 2),
    }

    def __init__(self, parts: dict[str, nn.Module]) -> None:
        super().__init__()
        self.flops: dict[str, int] = {}
        self.owner: dict[int, str] = {}
        for part, module in parts.items():
            for weight in (*module.parameters(), *module.buffers()):
                self.owner.setdefault(weight.data_ptr(), part)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Run the operator and count it."""
        out = func(*args, **(kwargs or {}))
        operator = func.overloadpacket
        if operator in flop_registry:
            way, place = self.ways.get(operator, ('', 0))
            part = self.owner.get(args[place].data_ptr()) if way else None
            name = f'{part} {way}' if part else 'other'
            flops = flop_registry[operator](*args, **(kwargs or {}), out_val=out)
            self.flops[name] = self.flops.get(name, 0) + flops
        return out


class OperatorCounter(TorchDispatchMode):
    """Counts operators, but for those that look at the same numbers in another way."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Run the operator and count it."""
        name = func.overloadpacket.__name__
        self.count += not (
            func.is_view or name == 'detach' or name.startswith(('empty', '_unsafe_view'))
        )
        return func(*args, **(kwargs or {}))


#: Name, class and specification of a step.
Method = tuple[str, type[Step], dict]
_here: dict[str, Any] = {}


def start(kind: type[Step], spec: dict) -> None:
    """Build the step of this process."""
    warnings.simplefilter('ignore')
    torch.set_num_threads(spec['threads'])
    torch.manual_seed(0)
    step = _here['step'] = kind(spec)
    before = forget_peak(spec['device'])
    _here['before'] = before if spec['device'] == 'cpu' else 0.0  # weights count on a GPU
    step.start()


def ask(question: str) -> Any:
    """What a method of this process's step returns."""
    return getattr(_here['step'], question)()


def settle() -> None:
    """Forget the peak of the first steps, which choose algorithms and compile."""
    forget_peak(_here['step'].spec['device'])


def peak() -> float | None:
    """Peak MB since :func:`settle`, above what there was before the start."""
    return peak_mb(_here['step'].spec['device'], _here['before'])


def record(kind: type[Step], spec: dict) -> None:
    """Keep the multiplications of a step, which this process does not go on with."""
    start(kind, spec | {'compile': False})  # a compiled step shows none
    step = _here.pop('step')
    step.step(step.data())  # what is done once is no part of a step
    with CallRecorder() as recorder:
        step.step(step.data())
    _here.setdefault('calls', []).append(recorder.calls)


def floors(device: str) -> list[float]:
    """Seconds that the multiplications of each recorded step take alone."""
    return [floor_seconds(calls, device) for calls in _here['calls']]


def matrix_rate(dtype: str, device: str) -> float:
    """Multiply-adds a second of a large product of matrices."""
    side, count = (512, 4) if device == 'cpu' else (8192, 20)
    options = dict(dtype=getattr(torch, dtype), device=device)
    factors = dict(a=torch.randn(side, side, **options), b=torch.randn(side, side, **options))
    product = Timer('a @ b', globals=factors, num_threads=torch.get_num_threads())
    product.timeit(count)  # chooses an algorithm
    return side**3 / product.timeit(count).median


def measure_here(kind: type[Step], spec: dict, count: bool = True) -> dict:
    """What is measured of one step in this process, which must be its own.

    Returns:
        dict: ``ms`` of each round, ``peak MB`` and, if asked for, ``multiply-adds`` of a step and
        ``operators``.
    """
    start(kind, spec)
    for _ in range(spec['warmup']):
        ask('seconds')
    settle()
    result = {'ms': [1000 * ask('seconds') for _ in range(spec['repeats'])], 'peak MB': peak()}
    if count:
        result |= {'multiply-adds': sum(ask('counts').values()), 'operators': ask('operators')}
    return result


def take_turns(methods: Sequence[Method], count: bool) -> tuple[list, list, list, list]:
    """Seconds and floors of each round and step; peaks and counts of each step.

    Arguments: see :func:`measure`; only one step runs at a time.
    """
    spec, seconds, floors_of_rounds = methods[0][2], [], []
    with ExitStack() as stack:
        machine, *workers = (stack.enter_context(Worker()) for _ in range(1 + len(methods)))

        def all_of(function: Callable, *args: Any) -> list:
            return [worker.ask(function, *args) for worker in workers]

        for worker, (_, kind, own) in zip(workers, methods, strict=True):
            worker.ask(start, kind, own)
            if count:
                machine.ask(record, kind, own)
        for _ in range(spec['warmup']):
            all_of(ask, 'seconds')
        all_of(settle)
        for _ in range(spec['repeats']):
            seconds.append(all_of(ask, 'seconds'))
            if count:
                floors_of_rounds.append(machine.ask(floors, spec['device']))
        return seconds, floors_of_rounds, all_of(peak), all_of(ask, 'counts') if count else []


def measure(methods: Sequence[Method], count: bool = True) -> list[dict]:
    """Results of steps that take turns.

    Args:
        methods (Sequence[Method]): Name, class and specification of each step.
        count (bool): Whether multiply-adds are counted, and the step compared with its floor.

    Returns:
        list[dict]: What is reported of each; lists have a value for each round.
    """
    rounds, floors_of_rounds, peaks, counts = take_turns(methods, count)
    results = []
    for number, (name, *_) in enumerate(methods):
        seconds = [of_round[number] for of_round in rounds]
        result = {'step': name, 'ms': [1000 * value for value in seconds]}
        result['of the first'] = [of_round[number] / of_round[0] for of_round in rounds]
        result['peak MB'] = peaks[number]
        if count:
            work = sum(counts[number].values())
            own = [of_round[number] for of_round in floors_of_rounds]
            result |= {'10^9 multiply-adds': work / 1e9, 'floor ms': 1000 * median(own)}
            result['x floor'] = median(a / b for a, b in zip(seconds, own, strict=True))
            result['by part'] = {part: value / 1e9 for part, value in counts[number].items()}
        results.append(result)
    return results


def report(results: Sequence[dict]) -> str:
    """The table of steps that took turns, and their multiply-adds by part."""
    rows = [{key: row[key] for key in row if key != 'by part'} for row in results]
    lines = ['', table(rows), '']
    for row in results:
        if 'by part' in row:
            parts = ', '.join(f'{part} {count:.2f}' for part, count in row['by part'].items())
            lines.append(f'{row["step"]}, 10^9 multiply-adds: {parts}')
    return '\n'.join(lines)
