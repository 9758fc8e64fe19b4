"""Translate pictures with a trained model."""

import pickle
from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.registry import init_default_scope

from sesim_mmagic.apis.embedded_config import embedded_config
from sesim_mmagic.apis.launch import check_checkpoint
from sesim_mmagic.engine.hooks.checkpoint_match import mismatch_message
from sesim_mmagic.engine.hooks.common import source_domain
from sesim_mmagic.engine.pictures import to_picture
from sesim_mmagic.engine.weights import adapt_names, differences
from sesim_mmagic.registry import MODELS

# What inference has no use for: no feature network is built, no weights of one are needed.
_TRAINING_ONLY = dict(
    discriminator=None,
    structure_loss=None,
    style_loss=None,
    perceptual_loss=None,
    structure_identity_weight=0.0,
)
_GENERATORS = ('generators.', 'generator_ema.')
PICTURE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.webp', '.ppm', '.pgm')


def init_translator(config, checkpoint, device=None):
    """Build a translation model for inference and load its generators.

    Losses and discriminators are left out. Every weight of the generators has to be in the
    checkpoint and to fit. The file is read with ``weights_only=True``.

    Args:
        config (str | Path | Config | None): Config that the checkpoint was trained with, or its
            path; None for the one that the checkpoint holds.
        checkpoint (str | Path): File or URL of the checkpoint.
        device (str | torch.device | None): Where to compute; the accelerator if there is one.

    Returns:
        BaseTranslationModel: Model in evaluation mode.

    Raises:
        FileNotFoundError: Config or checkpoint does not exist.
        ValueError: The config has no model, the checkpoint is damaged, holds other objects than
            weights and logs, is one of another model, or should hold its config and does not.
    """
    content = read_checkpoint(str(checkpoint))
    cfg = embedded_config(content, checkpoint) if config is None else _read_config(config)
    settings = deepcopy(cfg.model)
    settings.update({k: v for k, v in _TRAINING_ONLY.items() if k in settings})
    weights = _weights_of(content, checkpoint)
    init_default_scope(cfg.get('default_scope', 'mmagic'))
    model = MODELS.build(settings)
    expected = _of_generators(model.state_dict())
    found = _of_generators(adapt_names(expected, weights))
    lines = differences(expected, found)
    if lines:
        raise ValueError(mismatch_message(checkpoint, type(model), lines))
    model.load_state_dict(found, strict=False)  # buffers of the training stay behind
    return model.to(device or get_device()).eval()


def translate(model, pictures, target_domain=None):
    """Translate pictures of any size, one after the other.

    They take the way of the model's ``test_step``: data preprocessor, generator (its moving
    average where there is one), padding to a multiple and cropping back.

    Args:
        model (BaseTranslationModel): Result of :func:`init_translator`.
        pictures (str | Path | np.ndarray | Iterable): Files, folders (see
            :func:`list_pictures`) or arrays (H, W, 3) of uint8, BGR; or one of them.
        target_domain (str | None): Domain to translate into; the model's default domain if None.

    Yields:
        np.ndarray: Translation (H, W, 3), uint8, BGR.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: A file is no picture, an array is none of the above, or the model cannot
            reach the domain.
    """
    target = _checked_target(model, target_domain)
    for picture in _each(pictures):
        yield _translate_one(model, picture, target)


def translate_into_styles(model, pictures, styles, target_domain=None):
    """Translate pictures with a multi-modal model, each into every style.

    Args:
        model (MultiModalTranslator): Result of :func:`init_translator`.
        pictures (str | Path | np.ndarray | Iterable): As for :func:`translate`.
        styles (Tensor): Shape (N, style_channels), for example of
            ``sesim_mmagic.translators.styles.draw_styles``, or rows of :func:`encode_style`.
        target_domain (str | None): Domain to translate into; the model's default domain if None.

    Yields:
        Iterator[np.ndarray]: N translations (H, W, 3) of one picture, uint8, BGR, made
        ``model.decode_batch`` at a time when they are asked for: memory does not grow with N.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: As :func:`translate`, or the model has no styles, or others than these.
    """
    _check_styled(model)
    target = _checked_target(model, target_domain)
    for picture in _each(pictures):
        yield _in_styles(model, picture, styles, target)


@torch.no_grad()
def encode_style(model, picture, domain=None):
    """Read the style of a picture of the target domain.

    Args:
        model (MultiModalTranslator): Result of :func:`init_translator`.
        picture (str | Path | np.ndarray): File, or array (H, W, 3) of uint8, BGR; of any size.
        domain (str | None): Its domain; the model's default domain if None.

    Returns:
        Tensor: Shape (style_channels,).

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It is no picture, or the model has no styles or does not know the domain.
    """
    _check_styled(model)
    domain = _checked_target(model, domain)
    (array,) = _each(picture)
    data = _to_inputs(model, array, f'img_{domain}')
    return model.encode_style(data['inputs'][f'img_{domain}'], domain)[0].cpu()


def list_pictures(path):
    """List the pictures of a folder in the order of their names, or the one picture of a file.

    Args:
        path (str | Path): File, or folder whose files with a suffix of ``PICTURE_SUFFIXES``
            are taken; folders inside it are not entered.

    Returns:
        list[Path]: At least one path.

    Raises:
        FileNotFoundError: There is no such file or folder, or no picture in it.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f"'{path}' does not exist: give a picture or a folder of them.")
    found = sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES)
    if not found:
        raise FileNotFoundError(f"Folder '{path}' holds no picture ({' '.join(PICTURE_SUFFIXES)}).")
    return found


def _read_config(config):
    if not isinstance(config, Config):
        if not Path(config).is_file():
            raise FileNotFoundError(f"Config '{config}' does not exist.")
        config = Config.fromfile(config)
    if 'model' not in config:
        raise ValueError(f"Config '{config.filename}' has no 'model'.")
    return config


def read_weights(path):
    """Read the weights of a checkpoint, on the CPU; nothing of it is run.

    Args:
        path (str): Path or URL.

    Returns:
        dict[str, Tensor]: Weights by name.

    Raises:
        FileNotFoundError: The checkpoint does not exist.
        ValueError: It is damaged, or holds objects that could run code, or no weights.
    """
    return _weights_of(read_checkpoint(path), path)


def _weights_of(content, path):
    weights = content.get('state_dict', content)
    if not isinstance(weights, dict):
        raise ValueError(f"Checkpoint '{path}' holds no weights: its state_dict is no dictionary.")
    return weights


def read_checkpoint(path):
    """Read a checkpoint, on the CPU; nothing of it is run.

    Args:
        path (str): Path or URL.

    Returns:
        dict: Weights, or ``state_dict``, ``meta`` and whatever else was saved.

    Raises:
        FileNotFoundError: The checkpoint does not exist.
        ValueError: It is damaged, holds objects that could run code, or is no dictionary.
    """
    check_checkpoint(path)
    try:
        if '://' in path:
            content = torch.hub.load_state_dict_from_url(
                path, map_location='cpu', weights_only=True
            )
        else:
            content = torch.load(Path(path).expanduser(), map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"Checkpoint '{path}' was not loaded, it holds objects that could run code: {error}"
        ) from None
    except (RuntimeError, EOFError) as error:
        raise ValueError(f"Checkpoint '{path}' is damaged: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"Checkpoint '{path}' holds no dictionary of weights.")
    return content


def _of_generators(weights):
    return {k: v for k, v in weights.items() if k.startswith(_GENERATORS)}


def _each(pictures):
    if isinstance(pictures, np.ndarray):
        yield _checked(pictures)
    elif isinstance(pictures, (str, Path)):
        from sesim_mmagic.datasets.pictures import read_picture  # imports much of MMagic

        yield from (read_picture(str(path)) for path in list_pictures(pictures))
    elif isinstance(pictures, Iterable):
        for picture in pictures:
            yield from _each(picture)
    else:
        raise ValueError(f'A picture is a path or an array, got {type(pictures).__name__}.')


def _checked(picture):
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise ValueError(
            'A picture is an array (H, W, 3) of uint8 in BGR, got shape '
            f'{picture.shape} of {picture.dtype}.'
        )
    return picture


def _checked_target(model, domain):
    target = domain or model._default_domain
    if not model.is_domain_reachable(target):
        raise ValueError(f"The model translates into {model._reachable_domains}, not '{target}'.")
    return target


def _check_styled(model):
    if not hasattr(model, 'encode_style'):
        raise ValueError(f'{type(model).__name__} has no styles: a source has one translation.')


def _to_inputs(model, picture, key):
    from mmagic.structures import DataSample  # as above

    tensor = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
    batch = pseudo_collate([dict(inputs={key: tensor}, data_samples=DataSample())])
    return model.data_preprocessor(batch)


@torch.no_grad()
def _translate_one(model, picture, target):
    key = f'img_{source_domain(model, target)}'
    data = _to_inputs(model, picture, key)
    found = model(data['inputs'][key], test_mode=True, target_domain=target)
    return _to_picture(model, found['target'][0], data, key)


def _in_styles(model, picture, styles, target):
    key = f'img_{source_domain(model, target)}'
    data = _to_inputs(model, picture, key)
    for images in model.translations(data['inputs'][key], styles, target):
        for image in images[0]:
            yield _to_picture(model, image, data, key)


def _to_picture(model, image, data, key):
    (sample,) = data['data_samples'].split()
    return to_picture(model.data_preprocessor.destruct(image, sample, key))
