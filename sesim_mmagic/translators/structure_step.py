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
    """

    def __init__(self, loss: nn.Module | None) -> None:
        self.wrapped = loss
        self.loss = unwrapped(loss)
        self.learns = isinstance(self.loss, LearnedStructureLoss)
        self.uses_views = wants_views(self.loss)
        # By identity of the images, which are kept so that it stays theirs.
        self._looks: dict[int, tuple[Tensor, list[Tensor]]] = {}

    def look(self, images: Tensor) -> list[Tensor]:
        """What the loss sees in images; computed once."""
        if id(images) not in self._looks:
            self._looks[id(images)] = images, self.loss.extract(images)
        return self._looks[id(images)][1]

    def distance(self, source: Tensor, translated: Tensor) -> Tensor:
        """Weighted distance between the structures of two batches, a scalar."""
        return self.loss.compare(self.look(source), self.look(translated))

    def learn(
        self, optim_wrapper: OptimWrapperDict, translations: Iterable[Translation]
    ) -> dict[str, Tensor]:
        """One update of a loss that learns, by the mean over directions; nothing for others.

        Positives are the translation and the augmented source; negatives the target image and
        its augmentation, turned by 180 degrees so that not even a paired target has the source's
        structure (Zheng et al., CVPR 2021, Sec. 3.2).

        Returns:
            dict[str, Tensor]: ``loss_contrastive``, detached, if there is one.

        Raises:
            ValueError: If the loss has no optimizer.
        """
        if not self.learns:
            return {}
        if OPTIMIZER_KEY not in optim_wrapper.keys():
            raise ValueError(
                f'{type(self.loss).__name__} learns, and no optimizer is there for it: give '
                f'optim_wrapper a {OPTIMIZER_KEY!r} beside {sorted(optim_wrapper.keys())}'
            )
        optim = optim_wrapper[OPTIMIZER_KEY]
        with optim.optim_context(self.wrapped):
            losses = [self._learning_loss(translation) for translation in translations]
            loss = torch.stack(losses).mean()
        optim.update_params(loss)
        return dict(loss_contrastive=loss.detach())

    def _learning_loss(self, images: Translation) -> Tensor:
        positives = [_detached(self.look(images.translated))]
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
