"""The text of a config, read without running it."""

import ast


def read_settings(text):
    """Values by name of a text that assigns literals, as MMEngine's ``pretty_text`` does.

    Args:
        text (str): Python; besides literals ``dict(...)`` of items is understood.

    Returns:
        dict: Nested settings.

    Raises:
        ValueError: The text is no Python, or says more than that.
    """
    settings = {}
    try:
        for line in ast.parse(text).body:
            if not (isinstance(line, ast.Assign) and [type(t) for t in line.targets] == [ast.Name]):
                raise ValueError(f'line {line.lineno} is no assignment to a name')
            settings[line.targets[0].id] = _value(line.value)
    except (SyntaxError, RecursionError, TypeError) as error:
        raise ValueError(str(error)) from None
    return settings


def _value(node):
    if isinstance(node, ast.Call):
        if not (isinstance(node.func, ast.Name) and node.func.id == 'dict'):
            raise ValueError(f'line {node.lineno} calls something')
        # MMEngine writes dict({'a name': ...}) where a key is no name of Python.
        parts = [*node.args, *(k.value for k in node.keywords if k.arg is None)]
        if not all(isinstance(part, ast.Dict) for part in parts):
            raise ValueError(f'line {node.lineno} makes a dict of something else than its items')
        named = {k.arg: _value(k.value) for k in node.keywords if k.arg is not None}
        return dict(item for part in (*map(_value, parts), named) for item in part.items())
    if isinstance(node, ast.Dict) and None not in node.keys:
        keys = [ast.literal_eval(key) for key in node.keys]
        return dict(zip(keys, map(_value, node.values), strict=True))
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        kind = {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)]
        return kind(map(_value, node.elts))
    return ast.literal_eval(node)  # refuses all but literals
