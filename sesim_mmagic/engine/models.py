"""The translator of a runner, without wrappers for distributed training."""

from typing import Any

from torch import nn

from sesim_mmagic.registry import unwrapped


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
