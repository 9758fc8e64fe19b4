"""Settings in their range: one error in one line for each kind of mistake.

Each function takes what owns the settings (its class is named, or the text itself) and any number
of them by name.
"""

import math
from collections.abc import Collection
from numbers import Integral, Real
from typing import Any

from sesim_mmagic.utils.messages import cut


def check_ints(owner: object, least: int, also: Collection = (), **values: Any) -> None:
    """Raise an error unless all values are whole numbers from ``least`` on.

    Args:
        owner (object): What has these settings.
        least (int): Smallest value that makes sense.
        also (Collection): Other values that mean something, such as ``(-1,)`` or ``(None,)``.
        **values (Any): Settings by name. True and False are no numbers.

    Raises:
        ValueError: Names the first setting that is something else.
    """
    for name, value in values.items():
        if _is_one_of(value, also):
            continue
        if not _is_a(value, Integral) or value < least:
            _refuse(owner, name, f'a whole number, {_from(least)}{_or(also)}', value)


def check_numbers(
    owner: object,
    least: float = -math.inf,
    most: float = math.inf,
    above: float = -math.inf,
    below: float = math.inf,
    also: Collection = (),
    **values: Any,
) -> None:
    """Raise an error unless all values are finite numbers in a range.

    Args:
        owner (object): What has these settings.
        least (float): Smallest value that makes sense.
        most (float): Largest value that makes sense.
        above (float): Values must be larger than this.
        below (float): Values must be smaller than this.
        also (Collection): Other values that mean something.
        **values (Any): Settings by name. True and False are no numbers.

    Raises:
        ValueError: Names the first setting that is something else.
    """
    limits = {'at least': least, 'at most': most, 'above': above, 'below': below}
    bounds = [f'{words} {x:g}' for words, x in limits.items() if math.isfinite(x)]
    expected = ' and '.join(['a finite number', *bounds]).replace('number and', 'number', 1)
    for name, value in values.items():
        if _is_one_of(value, also):
            continue
        is_number = _is_a(value, Real) and math.isfinite(value)
        if not is_number or not (least <= value <= most and above < value < below):
            _refuse(owner, name, f'{expected}{_or(also)}', value)


def check_flags(owner: object, **values: Any) -> None:
    """Raise ``ValueError`` unless all values are True or False."""
    for name, value in values.items():
        if not isinstance(value, bool):
            _refuse(owner, name, 'True or False', value)


def check_choice(owner: object, choices: Collection, **values: Any) -> None:
    """Raise ``ValueError`` unless all values are among some."""
    for name, value in values.items():
        if not _is_one_of(value, choices):
            _refuse(owner, name, f'one of {", ".join(map(repr, choices))}', value)


def check_texts(owner: object, also: Collection = (), **values: Any) -> None:
    """Raise ``ValueError`` unless all values are texts that are not empty."""
    for name, value in values.items():
        if not _is_one_of(value, also) and not (isinstance(value, str) and value):
            _refuse(owner, name, f'a text{_or(also)}', value)


def check_many(owner: object, **values: Any) -> None:
    """Raise ``ValueError`` unless all values are lists or tuples that hold something."""
    for name, value in values.items():
        if not isinstance(value, (list, tuple)) or not value:
            _refuse(owner, name, 'a list that is not empty', value)


def check_keys(owner: object, known: Collection, **values: Any) -> None:
    """Raise ``ValueError`` unless all values are dictionaries without unknown keys, or None."""
    for name, value in values.items():
        if value is None:
            continue
        if not isinstance(value, dict):
            _refuse(owner, name, 'a dictionary or None', value)
        unknown = [key for key in value if key not in known]
        if unknown:
            _refuse(owner, name, f'without {unknown[0]!r}: it has {", ".join(known)}', value)


def _is_a(value: object, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _is_one_of(value: object, values: Collection) -> bool:
    """``value in values`` where 1 is not True, and for what cannot be hashed."""
    return any(type(value) is type(other) and value == other for other in values)


def _from(least: int) -> str:
    return 'positive' if least == 1 else f'{least} or more'


def _or(also: Collection) -> str:
    return ''.join(f' or {value!r}' for value in also)


def _refuse(owner: object, name: str, expected: str, value: object) -> None:
    place = f'{owner}.{name}' if isinstance(owner, str) else f'{type(owner).__name__}: {name}'
    raise ValueError(f'{place} must be {expected}, got {cut(repr(value), 120)}')
