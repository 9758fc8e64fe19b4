"""A discriminator whose gradients drown those of all other losses."""

import logging
from collections.abc import Sequence

from mmengine.logging import print_log
from torch import Tensor

# An odd number: of two directions that take turns, both are listened to.
_INTERVAL = 25
_LOUDEST = 10


class GradientWatch:
    """Warns once of each discriminator that leaves no room for the structure of the source.

    Through a frozen network the gradient of a hinge loss can grow to 30 times that of a structure
    loss within 40 updates, and every value in the log looks sound. So, now and then, the gradient
    that a discriminator sends to a translation is compared with the rest of what arrives there.
    Both are taken from the backward pass of the training step, which computes them anyway; no
    gradient is changed, since a limit would have to know AMP's scale of the loss.
    """

    def __init__(self) -> None:
        self._calls = 0
        self._warned: set[str] = set()

    def views(self, translated: Tensor, settings: Sequence[str]) -> list[Tensor]:
        """One view of the translations for each discriminator, the translations themselves mostly.

        Args:
            translated (Tensor): Shape (B, 3, H, W).
            settings (Sequence[str]): Places of the discriminators in a config, for messages.
        """
        self._calls += 1
        if self._calls % _INTERVAL or not translated.requires_grad:
            return [translated for _ in settings]
        own: dict[str, Tensor] = {}
        views = []
        for setting in settings:
            views.append(translated.view_as(translated))
            views[-1].register_hook(
                lambda gradient, setting=setting: own.update({setting: gradient})
            )
        translated.register_hook(lambda gradient: self._compare(own, gradient))
        return views

    def _compare(self, own: dict[str, Tensor], total: Tensor) -> None:
        for setting, gradient in own.items():
            rest = (total - gradient).float().norm().item()
            ratio = gradient.float().norm().item() / rest if rest else 0.0
            if ratio > _LOUDEST and setting not in self._warned:
                self._warned.add(setting)
                print_log(
                    f'{setting}: at the translations the gradient of its loss is {ratio:.0f} times '
                    'that of all other losses together, which hardly count; divide its weight '
                    'by about that.',
                    'current',
                    logging.WARNING,
                )
