"""Load a trained model."""

from copy import deepcopy
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from torch import Tensor

from sesim_mmagic.apis.embedded_config import embedded_config
from sesim_mmagic.apis.inert_settings import for_inference
from sesim_mmagic.registry import MODELS
from sesim_mmagic.translators import Translator
from sesim_mmagic.utils.checkpoints import read_checkpoint, weights_of
from sesim_mmagic.utils.messages import in_one_line
from sesim_mmagic.utils.weights import WeightsMismatch, adapt_names, differences

_GENERATORS = ('generators.', 'generator_ema.')


def init_translator(
    config: str | Path | Config | None,
    checkpoint: str | Path,
    device: str | torch.device | None = None,
) -> Translator:
    """Build a translation model for inference and load its generators.

    Losses and discriminators are left out. Every weight of the generators has to be in the
    checkpoint and to fit. The file is read with ``weights_only=True``.

    Args:
        config (str | Path | Config | None): Config that the checkpoint was trained with, or its
            path; None for the one that the checkpoint holds.
        checkpoint (str | Path): File or URL of the checkpoint.
        device (str | torch.device | None): Where to compute; the accelerator if there is one.

    Returns:
        Translator: Model in evaluation mode.

    Raises:
        FileNotFoundError: Config or checkpoint does not exist.
        ValueError: The device cannot be used, the config has no model, the checkpoint is damaged,
            holds other objects than weights and logs, is one of another model, or should hold its
            config and does not.
    """
    check_device(device)
    content = read_checkpoint(checkpoint)
    cfg = embedded_config(content, checkpoint) if config is None else _read_config(config)
    settings = for_inference(cfg.model)
    init_default_scope(cfg.get('default_scope') or 'mmagic')
    if config is None:
        # Compared before it takes memory: the sizes in a stranger's config are anything.
        with torch.device('meta'):
            _fitting(_build(settings, checkpoint), content, checkpoint)
    model = _build(settings, checkpoint)
    weights = _fitting(model, content, checkpoint)
    model.load_state_dict(weights, strict=False)  # buffers of the training stay behind
    return model.to(device or get_device()).eval()


def check_device(device: str | torch.device | None) -> None:
    """Refuse a device that PyTorch cannot use here; None is right.

    Raises:
        ValueError: It is none, or not there.
    """
    try:
        torch.empty(0, device=device)
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        raise ValueError(
            f"device '{device}' cannot be used ({in_one_line(error, 120)}); without one it is "
            f"'{get_device()}' here"
        ) from None


def _read_config(config: str | Path | Config) -> Config:
    if not isinstance(config, Config):
        if not Path(config).is_file():
            raise FileNotFoundError(f"Config '{config}' does not exist.")
        config = Config.fromfile(config)
    if 'model' not in config:
        raise ValueError(f"Config '{config.filename}' has no 'model'.")
    return config


def _build(settings: dict, checkpoint: str | Path) -> Translator:
    try:
        return MODELS.build(deepcopy(settings))
    except Exception as error:  # whatever components raise at arguments that do not fit
        raise ValueError(
            f"The model of checkpoint '{checkpoint}' cannot be built from its config: "
            f'{" ".join(str(error).split())}'
        ) from error


def _fitting(model: Translator, content: dict, checkpoint: str | Path) -> dict[str, Tensor]:
    """A checkpoint's weights of the generators, which have to be those of a model."""
    expected = _of_generators(model.state_dict())
    weights = _of_generators(adapt_names(expected, weights_of(content)))
    lines = differences(expected, weights)
    if lines:
        raise WeightsMismatch(type(model).__name__, lines, str(checkpoint))
    return weights


def _of_generators(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v for k, v in weights.items() if k.startswith(_GENERATORS)}
