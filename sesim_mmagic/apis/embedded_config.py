"""The config that a checkpoint holds, read without running any of it.

MMEngine writes a training's config into its checkpoints as Python, and reads such text by running
it. A stranger's checkpoint must not be run: here only literals and ``dict(...)`` are understood,
and only models that are registered are built.
"""

import ast

from mmengine.config import Config

from sesim_mmagic.registry import MODELS

# What inference has no use for: no feature network is built, no weights of one are needed, and a
# loss of one's own need not be known.
TRAINING_ONLY = dict(
    discriminator=None,
    structure_loss=None,
    style_loss=None,
    perceptual_loss=None,
    structure_identity_weight=0.0,
)
_SCOPES = ('', 'sesim_mmagic', 'mmagic', 'mmengine')


def embedded_config(content, checkpoint):
    """Config that a checkpoint holds.

    Args:
        content (dict): What is in the file: ``meta['cfg']`` is the config's text.
        checkpoint (str | Path): The file, for messages.

    Returns:
        Config: The config.

    Raises:
        ValueError: There is none, it is not plain settings, or it names a model that is not
            registered in MMEngine, MMagic or this package.
    """
    meta = content.get('meta')
    text = meta.get('cfg') if isinstance(meta, dict) else None
    if not isinstance(text, str):
        raise ValueError(
            f"Checkpoint '{checkpoint}' does not hold its config: give the config it was trained "
            'with.'
        )
    try:
        settings = _read_settings(text)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise ValueError(
            f"The config in checkpoint '{checkpoint}' was not read, it holds more than plain "
            f'settings: {error}. If you trust it, give the config it was trained with.'
        ) from None
    if not isinstance(settings.get('model'), dict):
        raise ValueError(f"The config in checkpoint '{checkpoint}' has no 'model'.")
    for name in _types(settings['model']):
        if not _is_registered(name):
            raise ValueError(
                f"The config in checkpoint '{checkpoint}' asks for {name!r}, which is no "
                'registered model. If it is your own, give the config, which may import it.'
            )
    return Config(settings)


def _read_settings(text):
    """Values by name of a text that assigns literals; ``dict(...)`` counts as one."""
    settings = {}
    for line in ast.parse(text).body:
        if not (isinstance(line, ast.Assign) and [type(t) for t in line.targets] == [ast.Name]):
            raise ValueError(f'line {line.lineno} is no assignment to a name')
        settings[line.targets[0].id] = _value(line.value)
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


def _types(settings):
    """Every ``type`` in nested settings that inference builds: it initialises no weights."""
    if isinstance(settings, dict):
        if 'type' in settings:
            yield settings['type']
        unused = ('init_cfg', *TRAINING_ONLY)
        settings = [value for key, value in settings.items() if key not in unused]
    if isinstance(settings, list | tuple):
        for value in settings:
            yield from _types(value)


def _is_registered(name):
    # MMEngine imports a dotted name that nobody registered and calls what it finds.
    scope, _, own = str(name).rpartition('.')
    registry = MODELS
    if scope not in _SCOPES:
        return False
    while registry is not None:
        registry.import_from_location()
        if own in registry.module_dict:
            return True
        registry = registry.parent
    return False
