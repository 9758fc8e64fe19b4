"""The config that a checkpoint holds, read without running any of it.

MMEngine writes a training's config into its checkpoints as Python, and reads such text by running
it. A stranger's checkpoint must not be run: here only literals and ``dict(...)`` are understood,
and only models that are registered are built.
"""

from mmengine.config import Config

from sesim_mmagic.engine.plain_settings import read_settings
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
        settings = read_settings(text)
    except ValueError as error:
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
