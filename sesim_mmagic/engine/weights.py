"""Names of weights with and without wrappers for distributed training."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from mmengine.model import is_model_wrapper
from torch import nn


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the model inside a wrapper for distributed training, or the model itself."""
    return model.get_submodule('module') if is_model_wrapper(model) else model


def translator_of(model: nn.Module) -> Any:
    """Return the translation model inside a wrapper, or the model itself.

    It is both an ``nn.Module`` and a ``Translator``, for which Python has no type.

    Raises:
        ValueError: It is none of this package, whose hooks need to know what it translates.
    """
    from sesim_mmagic.translators import Translator  # imports much of MMagic

    model = unwrapped(model)
    if not isinstance(model, Translator):
        raise ValueError(
            f'{type(model).__name__} does not say what it translates: use a translator of '
            "sesim_mmagic; type='sesim_mmagic.SeSimCycleGAN' and 'sesim_mmagic.SeSimPix2Pix' "
            "train as MMagic's models"
        )
    return model


def plain_names(model: nn.Module, state_dict: Mapping[str, Any]) -> Mapping[str, Any]:
    """Rename weights as if no submodule of the model were wrapped for distributed training.

    ``MMSeparateDistributedDataParallel`` wraps the children of a model, which puts ``.module``
    behind their names.

    Args:
        model (nn.Module): Model that the weights belong to, wrapped or not.
        state_dict (Mapping[str, Tensor]): ``unwrapped(model).state_dict()``, or a copy on
            another device.

    Returns:
        Mapping[str, Tensor]: The same tensors under plain names.
    """
    wrapped = [name for name, child in unwrapped(model).named_children() if is_model_wrapper(child)]
    if not wrapped:
        return state_dict

    def plain(key: str) -> str:
        for name in wrapped:
            if f'{key}.'.startswith(f'{name}.module.'):
                return name + key[len(f'{name}.module') :]
        return key

    renamed: Any = OrderedDict((plain(k), v) for k, v in state_dict.items())
    renamed._metadata = OrderedDict(
        (plain(k), v) for k, v in getattr(state_dict, '_metadata', {}).items()
    )
    return renamed
