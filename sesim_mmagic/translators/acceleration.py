"""Memory layout, compilation and recomputation of a translation model's networks."""

import logging
from typing import Any

import torch
from mmengine.logging import print_log
from torch import nn

from sesim_mmagic.networks.recomputing import recompute
from sesim_mmagic.utils.checks import check_flags


def accelerate(
    model: Any,
    others: list[nn.Module],
    channels_last: bool,
    compile: bool | dict[str, Any],
    with_cp: bool,
) -> None:
    """Let a translation model compute faster or in less memory, without a change to the results.

    Called when the model is built, before a distributed wrapper looks at its parameters and
    before an optimizer does. Names in checkpoints stay as they are.

    Args:
        model (Translator): The model, with ``generators``.
        others (list[nn.Module]): The other networks that gradients pass through.
        channels_last (bool): Store images and kernels with the channels innermost, which matrix
            units prefer.
        compile (bool | dict): Compile the networks with ``torch.compile``; a dictionary holds its
            arguments.
        with_cp (bool): Drop the maps of the networks in a training step, and compute them again
            where the backward pass needs them (activation checkpointing).

    Raises:
        ValueError: One of them is something else, or two exclude each other.
    """
    check_flags(model, channels_last=channels_last, with_cp=with_cp)
    if not isinstance(compile, dict):
        check_flags(model, compile=compile)
    if channels_last:
        model.to(memory_format=torch.channels_last)
    if compile is not False:
        if with_cp:
            raise ValueError(
                'with_cp and compile exclude each other: a compiled network decides itself what to '
                'compute again; set one of them to False'
            )
        for network in [*model.generators.values(), *others]:
            network.compile(**({} if compile is True else compile))
    for target in recompute(model.generators, others) if with_cp else ():
        name = f'generators.{target} ({type(model.generators[target]).__name__})'
        print_log(
            f'with_cp: {name} has no parts in a row; it is computed again as a whole, which saves '
            'less memory.',
            'current',
            logging.WARNING,
        )
