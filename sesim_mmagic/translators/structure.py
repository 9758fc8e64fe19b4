"""The structure loss in a training step: its own objective, and its term in the generator's."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from mmengine.optim import OptimWrapperDict
from torch import Tensor

from sesim_mmagic.losses import LearnedStructureLoss
from sesim_mmagic.registry import unwrapped

OPTIMIZER_KEY = 'structure_loss'

#: What a structure loss sees in a batch of images: maps (B, C, h, w).
Features = list[Tensor]


class Lesson(NamedTuple):
    """What a structure loss learns from in one direction; images (B, 3, H, W) in [-1, 1]."""

    source_features: Features
    translated_features: Features
    source: Tensor
    #: Real images of the target domain.
    target: Tensor


def learn_structure(
    loss: Any, optim_wrapper: OptimWrapperDict, lessons: Iterable[Lesson]
) -> dict[str, Tensor]:
    """One update of a structure loss that has an objective and an optimizer of its own.

    Args:
        loss (nn.Module, optional): The structure loss, maybe in a distributed wrapper.
        optim_wrapper (OptimWrapperDict): With ``structure_loss`` if the loss learns; otherwise
            nothing happens here.
        lessons (Iterable[Lesson]): One per direction; the objective is their mean.

    Returns:
        dict[str, Tensor]: ``loss_contrastive``, detached, if there is an update.
    """
    if OPTIMIZER_KEY not in optim_wrapper.keys():
        return {}
    optim = optim_wrapper[OPTIMIZER_KEY]
    with optim.optim_context(loss):
        # Through the wrapper: these are the gradients that ranks average.
        objective = torch.stack([loss(*lesson, mode='learn') for lesson in lessons]).mean()
    optim.update_params(objective)
    return dict(loss_contrastive=objective.detach())


def structure_distance(loss: Any, source: Features, translated: Features) -> Tensor:
    """The structure loss's term in the generator's objective, a scalar.

    The loss is called through its distributed wrapper only if its own parameters train with the
    generator: the wrapper would otherwise wait for gradients that never come.
    """
    if not unwrapped(loss).trains_with_generator:
        loss = unwrapped(loss)
    return loss(source, translated, mode='features')


def check_optimizers(loss: Any, optim_wrapper: OptimWrapperDict) -> None:
    """Raise ``ValueError`` unless a structure loss has the optimizers that it needs."""
    loss = unwrapped(loss)
    learns = isinstance(loss, LearnedStructureLoss)
    if learns != (OPTIMIZER_KEY in optim_wrapper.keys()):
        keys = sorted(optim_wrapper.keys())
        raise ValueError(
            f'{type(loss).__name__} learns, and no optimizer is there for it: give optim_wrapper a '
            f'{OPTIMIZER_KEY!r} beside {keys}'
            if learns
            else f'optim_wrapper has a {OPTIMIZER_KEY!r}, and {type(loss).__name__} has no '
            f'objective of its own: take it out of {keys}, or set structure_loss to an LSeSimLoss'
        )
    if loss is not None and loss.trains_with_generator:
        groups = optim_wrapper['generators'].optimizer.param_groups
        held = {id(parameter) for group in groups for parameter in group['params']}
        if any(id(parameter) not in held for parameter in loss.parameters()):
            raise ValueError(
                f'{type(loss).__name__} has parameters that train with the generator, and its '
                "optimizer does not hold them: set optim_wrapper.generators.modules=['generators', "
                "'structure_loss'] and optim_wrapper.discriminators.modules='discriminators'"
            )
