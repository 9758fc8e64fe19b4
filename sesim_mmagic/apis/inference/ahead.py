"""Reading and writing while a model computes."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

Item = TypeVar('Item')
Result = TypeVar('Result')


def ahead(
    threads: Executor, function: Callable[[Item], Result], items: Iterable[Item], count: int
) -> Iterator[tuple[Item, 'Future[Result]']]:
    """Call a function in threads, for some items more than have been asked for.

    Args:
        threads (Executor): What calls it.
        function (Callable): Takes an item.
        items (Iterable): In the order of the results; at most ``count + 1`` are held.
        count (int): Calls that may wait or run while an earlier result is used.

    Yields:
        tuple[Item, Future]: An item, and what gives its result or raises its error.
    """
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    for item in items:
        waiting.append((item, threads.submit(function, item)))
        if len(waiting) > count:
            yield waiting.popleft()
    while waiting:
        yield waiting.popleft()
