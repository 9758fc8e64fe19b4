"""Memory layout and compilation of a translation model's networks."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from sesim_mmagic.utils.checks import check_flags


def accelerate(model: nn.Module, channels_last: bool, compile: bool | dict[str, Any]) -> None:
    """Let a translation model compute faster, without a change to what it computes.

    Called when the model is built, before a distributed wrapper looks at its parameters and
    before an optimizer does. Names in checkpoints stay as they are.

    Args:
        model (nn.Module): With ``generators``, ``discriminators``, ``structure_loss``.
        channels_last (bool): Store images and kernels with the channels innermost, which matrix
            units prefer.
        compile (bool | dict): Compile generators, discriminators and feature networks with
            ``torch.compile``; a dictionary holds its arguments.

    Raises:
        ValueError: One of the two is something else.
    """
    check_flags(model, channels_last=channels_last)
    if not isinstance(compile, dict):
        check_flags(model, compile=compile)
    if channels_last:
        model.to(memory_format=torch.channels_last)
    if compile is not False:
        for network in _networks(model):
            network.compile(**({} if compile is True else compile))


def _networks(model: nn.Module) -> Iterator[nn.Module]:
    for networks in (model.generators, model.discriminators):
        yield from networks.values() if networks is not None else ()
    for loss in model.children():
        if hasattr(loss, 'feature_net'):
            yield loss.feature_net
