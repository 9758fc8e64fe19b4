"""Whether what a JSON or YAML file holds has the shape that is read from it."""

import reprlib
from typing import Any

_NAMES = {dict: 'a mapping', list: 'a list', str: 'text', type(None): 'nothing'}
NUMBER = (int, float)


def misfit(value: Any, shape: Any, where: str = '') -> str | None:
    """Say where a value differs from what is expected of it.

    Args:
        value (Any): What JSON or YAML gave.
        shape (Any): A type or a tuple of types; ``[shape]`` for a list of such; a dictionary for a
            mapping: shapes by key, of keys that may be missing with '?' at the end, and for all
            other keys by ``str`` where these matter. A truth value is no number.
        where (str): What the value is called, for the answer. Defaults to '': the whole.

    Returns:
        str | None: For example "best[0].iteration should be a number, but is 'x'"; None where all
        is as expected.
    """
    if isinstance(shape, list):
        if not isinstance(value, list):
            return _should_be(value, (list,), where)
        parts = ((item, shape[0], f'{where}[{i}]') for i, item in enumerate(value))
    elif isinstance(shape, dict):
        if not isinstance(value, dict):
            return _should_be(value, (dict,), where)
        prefix = f'{where}.' if where else ''
        named = {key.removesuffix('?'): key for key in shape if isinstance(key, str)}
        for key, marked in named.items():
            if key == marked and key not in value:
                return f'{where or "it"} lacks {key}'
        other = shape.get(str)
        parts = (
            (item, shape[named[key]] if key in named else other, f'{prefix}{key}')
            for key, item in value.items()
            if key in named or other is not None
        )
    else:
        types = shape if isinstance(shape, tuple) else (shape,)
        fits = isinstance(value, types) and not (isinstance(value, bool) and bool not in types)
        return None if fits else _should_be(value, types, where)
    return next((problem for part in parts if (problem := misfit(*part))), None)


def _should_be(value: Any, types: tuple, where: str) -> str:
    numbers = ['a number'] if set(NUMBER) & set(types) else []
    names = [*numbers, *(_NAMES[kind] for kind in types if kind in _NAMES)]
    # Cut: a few lines of YAML can stand for more than the memory holds.
    return f'{where or "it"} should be {" or ".join(names)}, but is {reprlib.repr(value)}'
