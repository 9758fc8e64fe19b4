"""The text of a config, read without running it."""

import ast
from typing import Any

_LONGEST = 2**20  # characters; the syntax tree of a text takes a hundred times its memory


def read_settings(text: str) -> dict[str, Any]:
    """Values by name of a text that assigns literals, as MMEngine's ``pretty_text`` does.

    Args:
        text (str): Python; besides literals ``dict(...)`` of items is understood.

    Returns:
        dict: Nested settings.

    Raises:
        ValueError: The text is no Python, or says more than that.
    """
    if len(text) > _LONGEST:
        raise ValueError(f'it has {len(text)} characters, more than {_LONGEST}')
    settings = {}
    try:
        for line in ast.parse(text).body:
            match line:
                case ast.Assign(targets=[ast.Name(id=name)]):
                    settings[name] = _value(line.value)
                case _:
                    raise ValueError(f'line {line.lineno} is no assignment to a name')
    except (SyntaxError, RecursionError, TypeError, MemoryError) as error:
        raise ValueError(str(error) or type(error).__name__) from None
    return settings


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call):
        if not (isinstance(node.func, ast.Name) and node.func.id == 'dict'):
            raise ValueError(f'line {node.lineno} calls something')
        # MMEngine writes dict({'a name': ...}) where a key is no name of Python.
        parts = [*node.args, *(k.value for k in node.keywords if k.arg is None)]
        if not all(isinstance(part, ast.Dict) for part in parts):
            raise ValueError(f'line {node.lineno} makes a dict of something else than its items')
        named = {k.arg: _value(k.value) for k in node.keywords if k.arg is not None}
        return dict(item for part in (*map(_value, parts), named) for item in part.items())
    if isinstance(node, ast.Dict):
        return dict(zip(map(_key, node.keys), map(_value, node.values), strict=True))
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        kind = {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)]
        return kind(map(_value, node.elts))
    return ast.literal_eval(node)  # refuses all but literals


def _key(node: ast.expr | None) -> Any:
    if node is None:
        raise ValueError('a dictionary is unpacked into another')
    key = ast.literal_eval(node)
    # MMEngine writes keys between quotes as they are: what follows a quote would become code.
    if isinstance(key, str) and not (key.isprintable() and not set(key) & set('\'"\\')):
        raise ValueError(f'line {node.lineno} has the key {key!r}')
    return key
