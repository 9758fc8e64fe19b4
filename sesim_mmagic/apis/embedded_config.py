"""The config that a checkpoint holds, read without running any of it.

MMEngine writes a training's config into its checkpoints as Python, and reads such text by running
it. A stranger's checkpoint must not be run: here only literals and ``dict(...)`` are understood,
and only models are built whose settings are known to be inert.
"""

from mmengine.config import Config

from sesim_mmagic.apis.inert_settings import check_inert, shown
from sesim_mmagic.engine.plain_settings import read_settings

# MMEngine imports the package of another scope.
_SCOPES = (None, 'mmagic', 'sesim_mmagic')
_ADVICE = 'If you trust it, give the config it was trained with, which may import your own modules.'


def embedded_config(content, checkpoint):
    """Config that a checkpoint holds.

    Args:
        content (dict): What is in the file: ``meta['cfg']`` is the config's text.
        checkpoint (str | Path): The file, for messages.

    Returns:
        Config: The config. Its ``model`` is inert (see ``inert_settings``) apart from what
        inference leaves out; all the rest is data that nothing may build, import or open.

    Raises:
        ValueError: There is none, it is not plain settings, or its model is not inert.
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
        config = Config(settings)
    except (ValueError, KeyError) as error:  # names such as 'filename' are MMEngine's own
        raise ValueError(
            f"The config in checkpoint '{checkpoint}' was not read, it holds more than plain "
            f'settings: {error}. {_ADVICE}'
        ) from None
    if not isinstance(settings.get('model'), dict):
        raise ValueError(f"The config in checkpoint '{checkpoint}' has no 'model'.")
    scope = settings.get('default_scope')
    try:
        if scope not in _SCOPES:
            raise ValueError(f"default_scope must be 'mmagic', not {shown(scope)}")
        check_inert(settings['model'])
    except ValueError as error:
        raise ValueError(
            f"The model in the config of checkpoint '{checkpoint}' is not built, it could run "
            f'code: {error}. {_ADVICE}'
        ) from None
    return config
