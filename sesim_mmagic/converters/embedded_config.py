"""The config inside a checkpoint, read without running it."""

import ast
from typing import Any

from mmengine.config import Config


def embedded_model(text: str) -> dict[str, Any]:
    """``model`` of the text of a config, where it is made of literals and ``dict(...)`` alone.

    MMEngine runs the text of a config. One that came with weights from elsewhere is not run here.

    Args:
        text (str): ``pretty_text`` of a config, as MMEngine's runner saves it.

    Raises:
        ValueError: If the text is no Python, has no ``model``, or one that is more than literals.
    """
    try:
        for statement in ast.parse(text).body:
            if isinstance(statement, ast.Assign) and 'model' in map(ast.unparse, statement.targets):
                return _literal(statement.value)
    except (SyntaxError, ValueError, TypeError) as error:
        raise ValueError(f'the config in it cannot be read: {error}') from None
    raise ValueError("the config in it has no 'model'")


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Call):
        if getattr(node.func, 'id', None) != 'dict':
            raise ValueError(f'{ast.unparse(node.func)} is called in it')
        # MMEngine writes names that are no Python names as dict({'a name': ...}).
        found = dict(*map(_literal, node.args))
        for keyword in node.keywords:
            value = _literal(keyword.value)
            found.update(value if keyword.arg is None else {keyword.arg: value})
        return found
    if isinstance(node, (ast.List, ast.Tuple)):
        values = [_literal(item) for item in node.elts]
        return tuple(values) if isinstance(node, ast.Tuple) else values
    if isinstance(node, ast.Dict):
        keys = [_literal(key) for key in node.keys]
        return dict(zip(keys, map(_literal, node.values), strict=True))
    return ast.literal_eval(node)


def config_text(config: dict[str, Any]) -> str:
    """Text that ``Config.fromstring(text, '.py')`` and :func:`embedded_model` read."""
    return Config(config).pretty_text
