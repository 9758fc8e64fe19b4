"""The structure loss in a training step: its own objective, and its term in the generator's."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import torch
from mmengine.optim import OptimWrapperDict
from torch import Tensor, nn

from sesim_mmagic.losses import LearnedStructureLoss, StructureLoss
from sesim_mmagic.registry import MODELS, unwrapped
from sesim_mmagic.utils.checks import check_keys
from sesim_mmagic.utils.messages import cut

OPTIMIZER_KEY = 'structure_loss'

#: Names of losses that translators log themselves; a ``*`` stands for any end.
_TAKEN = (
    *('structure', 'structure_identity', 'identity', 'contrastive', 'cycle'),
    *('image_reconstruction', 'style_reconstruction', 'content_reconstruction'),
    *('gan_*', 'gradient_penalty*', 'r1*'),
)

#: What a structure loss sees in a batch of images: maps (B, C, h, w).
Features = list[Tensor]


def build_structure_loss(where: str, config: dict | None) -> StructureLoss | None:
    """The structure loss of a config, None where there is none.

    Args:
        where (str): Place of the setting, for messages.
        config (dict, optional): Its ``type`` and arguments.

    Raises:
        ValueError: It describes something else.
    """
    if config is None:
        return None
    loss = MODELS.build(config) if isinstance(config, dict) and 'type' in config else None
    if not isinstance(loss, StructureLoss):
        raise ValueError(
            f'{where} must be None or the config of a structure loss, such as '
            f"dict(type='sesim_mmagic.FSeSimLoss', ...); got {cut(repr(config), 120)}"
        )
    return loss


class MoreLosses(nn.ModuleDict):
    """Losses between a source and its translation that stand beside the structure loss.

    Such as :class:`BrightnessLoss`, or MUNIT's domain-invariant :class:`PerceptualLoss`.

    Args:
        owner (str): Class of the model, for messages.
        settings (dict, optional): Configs of structure losses without parameters, by names that
            end those of the logged losses. None in place of a config leaves out what a base
            config has under that name.

    Raises:
        ValueError: A name is taken or no name, or something is no structure loss, learns or looks
            through the generator.
    """

    def __init__(self, owner: str, settings: dict | None) -> None:
        super().__init__()
        check_keys(owner, settings or (), more_losses=settings)
        for name, config in (settings or {}).items():
            where = f'{owner}.more_losses.{name}'
            is_name = str(name).isidentifier() and not hasattr(self, name)
            if not is_name or any(fnmatchcase(name, taken) for taken in _TAKEN):
                raise ValueError(
                    f'{where}: losses are logged as loss_NAME, and this name is no identifier or '
                    f'is taken, as {", ".join(_TAKEN)} and attributes of modules are'
                )
            loss = build_structure_loss(where, config)
            if loss is None:
                continue
            if loss.needs_generator or any(p.requires_grad for p in loss.parameters()):
                raise ValueError(
                    f'{where}: {type(loss).__name__} learns or looks through the generator; set it '
                    'as structure_loss, and what stands beside it here'
                )
            self[name] = loss

    def forward(self, source: Tensor, translated: Tensor) -> dict[str, Tensor]:
        """Each loss, weighted, of images (B, 3, H, W) in [-1, 1], by the name in the log."""
        return {f'loss_{name}': loss(source, translated) for name, loss in self.items()}


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
