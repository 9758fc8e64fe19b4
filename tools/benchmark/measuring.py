"""What the benchmarks share: arguments, processes of their own, peak memory, tables."""

import argparse
import ctypes
import json
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import forkserver
from pathlib import Path
from statistics import median
from typing import Any

from sesim_mmagic.apis import command_line
from sesim_mmagic.utils.files import write_atomically

# Processes are forked from one that has imported what takes seconds.
NEW_PROCESS = multiprocessing.get_context('forkserver')
NEW_PROCESS.set_forkserver_preload(['sesim_mmagic', 'mmagic.models', 'sesim_mmagic.losses'])
_THREADS = 'OMP_NUM_THREADS'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the benchmarks of steps share."""
    add_reference(parser)
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    positive = command_line.whole_number(1)
    parser.add_argument('--repeats', type=positive, default=7, help='measured rounds')
    command_line.add_out(parser, help='JSON file for the results')


def add_reference(parser: argparse.ArgumentParser) -> None:
    """Add ``--reference``."""
    text = "folder of the authors' code, F-LSeSim"
    parser.add_argument('--reference', type=_reference, help=text)


def _reference(text: str) -> str:
    if not Path(text, 'models/sc_model.py').is_file():
        raise argparse.ArgumentTypeError(
            f"'{text}' holds no models/sc_model.py; give the root of a checkout of "
            'github.com/lyndonzheng/F-LSeSim'
        )
    return text


class Worker(ProcessPoolExecutor):
    """A process of its own, idle unless asked; it ends with the context."""

    def __init__(self) -> None:
        super().__init__(1, mp_context=NEW_PROCESS, initializer=_begin, initargs=_prepare())

    def ask(self, function: Callable, *args: object) -> object:
        """What a function of a module returns there; an error there is one here."""
        return self.submit(function, *args).result()


def in_time(seconds: float, function: Callable, *args: object) -> Any:
    """What a function returns in a process of its own, which ends with it and is killed if late.

    Args:
        seconds (float): Time that it has.
        function (Callable): A function of a module.
        *args: Its arguments.

    Raises:
        RuntimeError: It raised an error, took too long or its process died; the message says why.
    """
    receiver, sender = NEW_PROCESS.Pipe(duplex=False)
    process = NEW_PROCESS.Process(target=_answer, args=(_prepare(), sender, function, args))
    process.start()
    sender.close()
    try:
        if not receiver.poll(max(seconds, 0)):
            raise RuntimeError(f'{seconds:.0f} s were not enough')
        result, error = receiver.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f'its process died (exit code {process.exitcode})') from None
    finally:
        process.kill()
        process.join()
    if error:
        raise RuntimeError(error)
    return result


def _answer(settings: tuple, sender: Any, function: Callable, args: tuple) -> None:
    _begin(*settings)
    try:
        sender.send((function(*args), None))
    except (Exception, SystemExit) as error:
        first = str(error).strip().partition('\n')[0]
        sender.send((None, f'{type(error).__name__}: {first}'))


def _prepare() -> tuple[int, str | None]:
    """Have the process that others are forked from; what they are told: their threads.

    It keeps to one thread. Some of its imports compute a little, and on several threads they would
    leave a pool that a forked process does not have, but waits for.
    """
    import torch

    setting = os.environ.get(_THREADS)
    os.environ[_THREADS] = '1'
    try:
        forkserver.ensure_running()
    finally:
        _restore(setting)
    return torch.get_num_threads(), setting


def _restore(setting: str | None) -> None:
    """Give the environment back its own setting of threads."""
    os.environ.pop(_THREADS)
    if setting is not None:
        os.environ[_THREADS] = setting


def _begin(threads: int, setting: str | None) -> None:
    """Compute on so many threads; keep the logs of libraries out of the table."""
    import torch

    torch.set_num_threads(threads)
    _restore(setting)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def forget_peak(device: str) -> float | None:
    """Forget the peak of memory so far; megabytes in use, None where that is not known."""
    import torch

    if device == 'cuda':
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated() / 2**20
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what was freed before is not to be used again
        Path('/proc/self/clear_refs').write_text('5')
    except (AttributeError, OSError):  # not Linux
        return None
    return _resident('VmRSS')


def peak_mb(device: str, before: float | None) -> float | None:
    """Peak memory since :func:`forget_peak` in MB (2^20 bytes) above ``before``."""
    import torch

    if before is None:
        return None
    now = torch.cuda.max_memory_allocated() / 2**20 if device == 'cuda' else _resident('VmHWM')
    return now - before


def _resident(field: str) -> float:
    status = Path('/proc/self/status').read_text()
    return int(status.split(f'{field}:')[1].split()[0]) / 1024


def table(rows: Sequence[dict]) -> str:
    """Markdown of rows with the same keys; a list of numbers becomes its median and its range."""
    lines = [rows[0], ['---'] * len(rows[0]), *(map(_text, row.values()) for row in rows)]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def _text(value: object) -> str:
    if isinstance(value, list):
        return f'{_text(float(median(value)))} ({_text(min(value))} to {_text(max(value))})'
    if isinstance(value, float):
        return f'{value:.0f}' if abs(value) >= 100 else f'{value:.3g}'
    return '-' if value is None else str(value)


def write_json(path: str | Path | None, results: object) -> None:
    """Write results, if there is a path; the file appears once it is complete."""
    if path:
        write_atomically(path, json.dumps(results, indent=2) + '\n')
