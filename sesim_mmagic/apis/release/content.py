"""What a released file holds: the generators that translate, their config, versions of packages."""

import io
import os
import re
from pathlib import Path
from typing import Any

import mmagic
import mmengine
import torch
from mmengine.config import Config

import sesim_mmagic
from sesim_mmagic.engine.plain_settings import read_settings
from sesim_mmagic.translators import Translator

# Settings of one run on one machine.
_OF_THE_RUN = ('work_dir', 'load_from', 'resume', 'launcher')


def released_meta(meta: dict, name: str | None = None, date: str | None = None) -> dict:
    """All that a released file says besides its config: plain strings and numbers.

    Config's name, iteration, date and versions; what is not given is that of the training's
    ``meta``.

    Raises:
        ValueError: Name or date is neither given nor in ``meta``, or cannot be one.
    """
    name = name or re.sub(r'_\d{8}_\d{6}$', '', str(meta.get('experiment_name', '')))
    if not re.fullmatch(r'\w[\w.+-]*', name):
        raise ValueError(f"The checkpoint names no config ('{name}'): give the config file.")
    time = date or str(meta.get('time', ''))
    if not re.fullmatch(r'\d{8}(_\d{6})?', time):
        raise ValueError(f"The date of a release has eight digits, got '{time}': give it (--date).")
    packages = sesim_mmagic, mmagic, mmengine, torch
    versions = {f'{package.__name__}_version': str(package.__version__) for package in packages}
    return dict(experiment_name=name, iter=meta.get('iter'), time=time, **versions)


def round_weights(model: Translator) -> None:
    """Give the generators that translate the weights that half precision can hold.

    Raises:
        ValueError: A weight is too large for it.
    """
    for name, tensor in model.inference_generators.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(tensor.half())
            if not tensor.isfinite().all():
                raise ValueError(f'{name} has weights above 65504: release without --half.')


def serialize(model: Translator, cfg: Config, meta: dict, half: bool = False) -> bytes:
    """Bytes of a released file; the same model, config and packages give the same bytes."""
    # Copies hold their own numbers alone, in the plain order of memory.
    weights = {
        f'generators.{name}': tensor.cpu().contiguous().clone()
        for name, tensor in model.inference_generators.state_dict().items()
    }
    if half:
        weights = {k: v.half() if v.is_floating_point() else v for k, v in weights.items()}
    file = io.BytesIO()
    torch.save(dict(meta=dict(meta, cfg=released_config(cfg)), state_dict=weights), file)
    return file.getvalue()


def released_config(cfg: Config) -> str:
    """Text of a config for a released file.

    Without a moving average, settings of the run and folders of this machine: of an absolute path
    the last part stays.

    Raises:
        ValueError: The config is more than plain settings, or MMEngine cannot write it as text.
    """
    settings = {k: v for k, v in cfg.to_dict().items() if k not in _OF_THE_RUN}
    if 'ema' in settings['model']:
        settings['model']['ema'] = None
    settings = _without_folders(settings)
    try:
        text = Config(settings).pretty_text
        if read_settings(text) == settings:
            return text
        reason = 'as text it says something else'
    except (ValueError, SyntaxError) as error:
        reason = ' '.join(str(error).split())
    raise ValueError(f'The config cannot be released, it is more than plain settings: {reason}.')


def _without_folders(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_folders(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_without_folders, value))
    if isinstance(value, str) and (os.path.isabs(value) or value.startswith('~')):
        return Path(value).name
    return value
