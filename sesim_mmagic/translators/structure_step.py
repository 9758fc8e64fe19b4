"""A structure loss within one training step."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from mmengine.optim import OptimWrapperDict
from torch import Tensor, nn

from sesim_mmagic.losses import LearnedStructureLoss

from .domain_networks import unwrapped

OPTIMIZER_KEY = 'structure_loss'


def training_keys(loss: nn.Module | None, domains: Sequence[str]) -> list[str]:
    """Names of the images that a training step with this structure loss takes."""
    keys = [f'img_{domain}' for domain in domains]
    if wants_views(unwrapped(loss)):
        keys += [view_key(domain) for domain in domains]
    return keys


def wants_views(loss: nn.Module | None) -> bool:
    """Whether a structure loss, not wrapped, learns from images with another appearance."""
    return isinstance(loss, LearnedStructureLoss) and loss.use_augmented_view


def trains_with_generator(loss: nn.Module | None) -> bool:
    """Whether a structure loss, not wrapped, has parameters without an objective of their own."""
    return (
        loss is not None
        and not isinstance(loss, LearnedStructureLoss)
        and any(parameter.requires_grad for parameter in loss.parameters())
    )


def check_optimizers(loss: nn.Module | None, optim_wrapper: OptimWrapperDict) -> None:
    """Raise ``ValueError`` if parameters of a structure loss have no optimizer."""
    loss = unwrapped(loss)
    if isinstance(loss, LearnedStructureLoss) and OPTIMIZER_KEY not in optim_wrapper.keys():
        raise ValueError(
            f'{type(loss).__name__} learns, and no optimizer is there for it: give '
            f'optim_wrapper a {OPTIMIZER_KEY!r} beside {sorted(optim_wrapper.keys())}'
        )
    if trains_with_generator(loss):
        groups = optim_wrapper['generators'].optimizer.param_groups
        held = {id(parameter) for group in groups for parameter in group['params']}
        if any(id(parameter) not in held for parameter in loss.parameters()):
            raise ValueError(
                f'{type(loss).__name__} has parameters that train with the generator, and its '
                "optimizer does not hold them: set optim_wrapper.generators.modules=['generators', "
                "'structure_loss'] and optim_wrapper.discriminators.modules='discriminators'"
            )


def view_key(domain: str) -> str:
    """Name of a domain's images with another appearance."""
    return f'img_{domain}_aug'


class Translation(NamedTuple):
    """Images of one direction in one step, each (B, 3, H, W), values in [-1, 1]."""

    source: Tensor
    translated: Tensor
    #: Real images of the target domain.
    target: Tensor
    #: Source and target with another appearance, where the batch holds them.
    source_view: Tensor | None = None
    target_view: Tensor | None = None


class StructureStep:
    """Looks at every image once, lets the loss learn and compares.

    Args:
        loss (nn.Module, optional): A structure loss, maybe in a distributed wrapper; None
            learns nothing and cannot compare.
        mirrored (bool): Whether translations are those of mirrored sources: what the loss sees
            in them is mirrored back (flip equivariance, as in FastCUT). Defaults to False.
    """

    def __init__(self, loss: nn.Module | None, mirrored: bool = False) -> None:
        self.wrapped = loss
        self.loss = unwrapped(loss)
        self.mirrored = mirrored
        self.learns = isinstance(self.loss, LearnedStructureLoss)
        self.uses_views = wants_views(self.loss)
        self.looks_through_generator = loss is not None and self.loss.needs_generator
        # By identity of images and generator; images are kept so that it stays theirs.
        self._looks: dict[tuple[int, int], tuple[Tensor, list[Tensor]]] = {}

    def look(self, images: Tensor, generator: nn.Module | None = None) -> list[Tensor]:
        """What the loss sees in images, maybe through a bare generator; computed once."""
        generator = generator if self.looks_through_generator else None
        key = id(images), id(generator)
        if key not in self._looks:
            self._looks[key] = images, self.loss.extract(images, generator)
        return self._looks[key][1]

    def remember(self, images: Tensor, generator: nn.Module, look: list[Tensor]) -> None:
        """Take over what the loss would see in images through a generator."""
        self._looks[id(images), id(generator)] = images, look

    def _look_at_translation(
        self, images: Tensor, generator: nn.Module | None = None
    ) -> list[Tensor]:
        look = self.look(images, generator)
        return [features.flip(3) for features in look] if self.mirrored else look

    def distance(
        self, source: Tensor, translated: Tensor, generator: nn.Module | None = None
    ) -> Tensor:
        """Weighted distance between the structures of two batches, a scalar.

        Args:
            source (Tensor): Shape (B, 3, H, W), values in [-1, 1].
            translated (Tensor): Same shape and range.
            generator (nn.Module, optional): The bare generator, for losses that look through it.
        """
        looks = self.look(source, generator), self._look_at_translation(translated, generator)
        # A loss whose parameters train with the generator is called through its wrapper, which
        # averages their gradients.
        return (
            self.wrapped(*looks) if trains_with_generator(self.loss) else self.loss.compare(*looks)
        )

    def learn(
        self, optim_wrapper: OptimWrapperDict, translations: Iterable[Translation]
    ) -> dict[str, Tensor]:
        """One update of a loss that learns, by the mean over directions; nothing for others.

        Positives are the translation and the augmented source; negatives the target image and
        its augmentation, turned by 180 degrees so that not even a paired target has the source's
        structure (Zheng et al., CVPR 2021, Sec. 3.2).

        Returns:
            dict[str, Tensor]: ``loss_contrastive``, detached, if there is one.
        """
        if not self.learns:
            return {}
        optim = optim_wrapper[OPTIMIZER_KEY]
        with optim.optim_context(self.wrapped):
            losses = [self._learning_loss(translation) for translation in translations]
            loss = torch.stack(losses).mean()
        optim.update_params(loss)
        return dict(loss_contrastive=loss.detach())

    def _learning_loss(self, images: Translation) -> Tensor:
        positives = [_detached(self._look_at_translation(images.translated))]
        negatives = [self.loss.extract(_turned(images.target))]
        if self.uses_views:
            positives.append(self.loss.extract(images.source_view))
            negatives.append(self.loss.extract(_turned(images.target_view)))
        # Through the wrapper: these are the gradients that ranks average.
        return self.wrapped(_detached(self.look(images.source)), positives, negatives, learn=True)


def _turned(images: Tensor) -> Tensor:
    return images.flip(2, 3)


def _detached(look: list[Tensor]) -> list[Tensor]:
    return [features.detach() for features in look]
