"""What a released checkpoint holds: weights, config, plain strings and numbers."""

import io
import os
import re
from pathlib import Path

import mmengine
import torch
from mmengine.config import Config

from sesim_mmagic.engine.plain_settings import read_settings
from sesim_mmagic.version import __version__

# Settings of one run on one machine.
_OF_THE_RUN = ('work_dir', 'load_from', 'resume', 'launcher')
_TIMESTAMP = re.compile(r'_\d{8}_\d{6}$')


def released_config(cfg):
    """Text of a config for a released file.

    Without a moving average, settings of the run and folders of this machine: of an absolute path
    the last part stays.

    Args:
        cfg (Config): Config of the training.

    Returns:
        str: The text.

    Raises:
        ValueError: The config is more than plain settings, or MMEngine cannot write it as text.
    """
    settings = {k: v for k, v in cfg.to_dict().items() if k not in _OF_THE_RUN}
    if 'ema' in settings['model']:
        settings['model'] = dict(settings['model'], ema=None)
    settings = _without_folders(settings)
    try:
        text = Config(settings).pretty_text
        if read_settings(text) == settings:
            return text
        reason = 'as text it says something else'
    except (ValueError, SyntaxError) as error:
        reason = ' '.join(str(error).split())
    raise ValueError(f'The config cannot be released, it is more than plain settings: {reason}.')


def _without_folders(value):
    if isinstance(value, dict):
        return {k: _without_folders(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_without_folders, value))
    if isinstance(value, str) and (os.path.isabs(value) or value.startswith('~')):
        return Path(value).name
    return value


def released_meta(trained, checkpoint, config=None, date=None):
    """All that a released file says besides its config: plain strings and numbers.

    Args:
        trained (dict): Content of the training's checkpoint.
        checkpoint (str | Path): Its path, for messages.
        config (str | Path | None): Config, where it is given.
        date (str | None): Date, where it is given.

    Returns:
        dict: ``experiment_name`` (the config's name), ``iter``, ``time`` and versions.

    Raises:
        ValueError: Name or date is neither given nor in the checkpoint, or cannot be one.
    """
    import mmagic

    meta = trained['meta'] if isinstance(trained.get('meta'), dict) else {}
    noted = _TIMESTAMP.sub('', str(meta.get('experiment_name', '')))
    name = noted if config is None else Path(config).stem
    if not re.fullmatch(r'\w[\w.+-]*', name):
        raise ValueError(
            f"Checkpoint '{checkpoint}' names no config ('{name}'): give the config file."
        )
    time = str(meta.get('time', '')) if date is None else date
    if not re.fullmatch(r'\d{8}(_\d{6})?', time):
        raise ValueError(
            f"The date of a release has eight digits, got '{time}'"
            + (f" from checkpoint '{checkpoint}': give it." if date is None else '.')
        )
    iteration = meta.get('iter')
    return dict(
        experiment_name=name,
        iter=iteration if isinstance(iteration, int) else None,
        time=time,
        sesim_mmagic_version=__version__,
        mmagic_version=mmagic.__version__,
        mmengine_version=mmengine.__version__,
        torch_version=str(torch.__version__),
    )


def serialise(model, cfg, meta):
    """Bytes of a released file; the same model, config and packages give the same bytes.

    Args:
        model (BaseTranslationModel): The model; its moving average, if it has one, is what is kept.
        cfg (Config): Config of the training.
        meta (dict): Result of :func:`released_meta`.

    Returns:
        bytes: ``dict(meta, state_dict)`` as torch writes it.
    """
    # Copies hold their own numbers alone, in the plain order of memory.
    weights = {k: v.cpu().contiguous().clone() for k, v in _inference_weights(model).items()}
    file = io.BytesIO()
    torch.save(dict(meta=dict(meta, cfg=released_config(cfg)), state_dict=weights), file)
    return file.getvalue()


def is_averaged(model):
    """Whether a model translates with a moving average of its generators."""
    return model.generator_ema is not None


def _inference_weights(model):
    weights = {k: v for k, v in model.state_dict().items() if k.startswith('generators.')}
    for domain, network in model.inference_generators.items():
        weights.update({f'generators.{domain}.{k}': v for k, v in network.state_dict().items()})
    return weights
