"""Translate pictures with a trained model."""

from copy import deepcopy
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import init_default_scope

from sesim_mmagic.apis.embedded_config import embedded_config
from sesim_mmagic.apis.inert_settings import for_inference, with_full_names
from sesim_mmagic.apis.inference.forward import (
    collate,
    picture_of,
    translations,
)
from sesim_mmagic.apis.inference.inputs import each_input
from sesim_mmagic.registry import MODELS
from sesim_mmagic.utils.checkpoints import read_checkpoint, weights_of
from sesim_mmagic.utils.weights import WeightsMismatch, adapt_names, differences

_GENERATORS = ('generators.', 'generator_ema.')


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
    content = read_checkpoint(checkpoint)
    cfg = embedded_config(content, checkpoint) if config is None else _read_config(config)
    settings = for_inference(cfg.model)
    init_default_scope(cfg.get('default_scope') or 'mmagic')
    if config is None:
        settings = with_full_names(settings)
        # Compared before it takes memory: the sizes in a stranger's config are anything.
        with torch.device('meta'):
            _fitting(_build(settings, checkpoint), content, checkpoint)
    model = _build(settings, checkpoint)
    found = _fitting(model, content, checkpoint)
    model.load_state_dict(found, strict=False)  # buffers of the training stay behind
    return model.to(device or get_device()).eval()


def translate(model, pictures, target_domain=None):
    """Translate pictures of any size, one after the other.

    They take the way of the model's ``test_step``: data preprocessor, generator (its moving
    average where there is one), padding to a multiple and cropping back.

    Args:
        model (BaseTranslationModel): Result of :func:`init_translator`.
        pictures (str | Path | np.ndarray | Iterable): Files, folders, arrays:
            :func:`~sesim_mmagic.apis.inference.inputs.find_inputs`; what is transparent is white.
        target_domain (str | None): Domain to translate into; the model's default domain if None.

    Yields:
        np.ndarray: Translation (H, W, 3), uint8, BGR.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: A file is no picture, an array is none of the above, or the model cannot
            reach the domain.
    """
    target = model.check_target(target_domain)
    for picture in _each(pictures):
        yield from _in_styles(model, picture, None, target)


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
    model.check_styled()
    target = model.check_target(target_domain)
    for picture in _each(pictures):
        yield _in_styles(model, picture, styles, target)


@torch.no_grad()
def encode_style(model, picture, domain=None, max_image_pixels=None):
    """Read the style of a picture of the target domain.

    Args:
        model (MultiModalTranslator): Result of :func:`init_translator`.
        picture (str | Path | np.ndarray): File or array of any size.
        domain (str | None): Its domain; the model's default domain if None.
        max_image_pixels (int | None): Most pixels of a file; None for Pillow's limit.

    Returns:
        Tensor: Shape (style_channels,).

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It is no picture, or the model has no styles or does not know the domain.
    """
    model.check_styled()
    domain = model.check_target(domain)
    inputs = list(each_input(picture))
    if len(inputs) != 1:
        raise ValueError(f"A style is that of one picture, and '{picture}' holds {len(inputs)}.")
    array, _ = inputs[0].read(max_image_pixels)
    data = collate(model, [array], domain)
    return model.encode_style(data['inputs'][f'img_{domain}'], domain)[0].cpu()


def _read_config(config):
    if not isinstance(config, Config):
        if not Path(config).is_file():
            raise FileNotFoundError(f"Config '{config}' does not exist.")
        config = Config.fromfile(config)
    if 'model' not in config:
        raise ValueError(f"Config '{config.filename}' has no 'model'.")
    return config


def _build(settings, checkpoint):
    try:
        return MODELS.build(deepcopy(settings))
    except Exception as error:  # whatever components raise at arguments that do not fit
        raise ValueError(
            f"The model of checkpoint '{checkpoint}' cannot be built from its config: "
            f'{" ".join(str(error).split())}'
        ) from error


def _fitting(model, content, checkpoint):
    """A checkpoint's weights of the generators, which have to be those of a model."""
    expected = _of_generators(model.state_dict())
    found = _of_generators(adapt_names(expected, weights_of(content)))
    lines = differences(expected, found)
    if lines:
        raise WeightsMismatch(type(model).__name__, lines, str(checkpoint))
    return found


def _of_generators(weights):
    return {k: v for k, v in weights.items() if k.startswith(_GENERATORS)}


def _each(pictures):
    return (one.read()[0] for one in each_input(pictures))


def _in_styles(model, picture, styles, target):
    data = collate(model, [picture], model.domains[target])
    for images in translations(model, data, target, styles):
        for image in images[0]:
            yield picture_of(model, data, 0, image, target)
