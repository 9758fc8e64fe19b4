"""Memory layout and compilation of a translation model's networks."""

from typing import Any

import torch
from torch import nn

from sesim_mmagic.utils.checks import check_flags


def accelerate(
    model: nn.Module, networks: list[nn.Module], channels_last: bool, compile: bool | dict[str, Any]
) -> None:
    """Let a translation model compute faster, without a change to what it computes.

    Called when the model is built, before a distributed wrapper looks at its parameters and
    before an optimizer does. Names in checkpoints stay as they are.

    Args:
        model (nn.Module): The model.
        networks (list[nn.Module]): Those of its networks that can be compiled.
        channels_last (bool): Store images and kernels with the channels innermost, which matrix
            units prefer.
        compile (bool | dict): Compile the networks with ``torch.compile``; a dictionary holds its
            arguments.

    Raises:
        ValueError: One of the two is something else.
    """
    check_flags(model, channels_last=channels_last)
    if not isinstance(compile, dict):
        check_flags(model, compile=compile)
    if channels_last:
        model.to(memory_format=torch.channels_last)
    if compile is not False:
        for network in networks:
            network.compile(**({} if compile is True else compile))
