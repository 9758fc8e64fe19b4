"""Where the scores of discriminators become losses."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sesim_mmagic.functional import augment
from sesim_mmagic.registry import MODELS
from sesim_mmagic.utils.checks import check_flags, check_keys, check_numbers

from .domain_networks import reachable_networks
from .gradient_watch import GradientWatch
from .penalties import discriminator_penalties

_PENALTIES = ('gradient_penalty_weight', 'r1_weight')
_SETTINGS = ('network', 'weight', 'gan_loss', 'augmentation', *_PENALTIES)


class Adversary(NamedTuple):
    """A discriminator of each domain, and how its scores become a loss."""

    #: Empty for a model's ``discriminator``, else its name in ``more_discriminators``.
    name: str
    #: Scores (a tensor) and whether they should be those of real images, to a scalar.
    gan_loss: nn.Module
    #: Factor on its loss for the generator.
    weight: float
    #: Arguments of :func:`augment` for all that it sees.
    augmentation: Mapping[str, Any]
    #: Weights of :func:`discriminator_penalties`.
    penalties: Mapping[str, float]

    @property
    def suffix(self) -> str:
        """What the names of its losses end in."""
        return f'_{self.name}' if self.name else ''

    @property
    def setting(self) -> str:
        """Its place in a config."""
        return f'model.more_discriminators.{self.name}' if self.name else 'model.discriminator'

    def key(self, domain: str) -> str:
        """Name of its network for a domain among a model's ``discriminators``."""
        return f'{domain}:{self.name}' if self.name else domain

    def scores(self, discriminators: nn.Module, domain: str, images: Tensor) -> list[Tensor]:
        """Scores of augmented images, one tensor for each scale."""
        network = reachable_networks(discriminators)[self.key(domain)]
        scores: Any = network(augment(images, **self.augmentation))
        return list(scores) if isinstance(scores, list | tuple) else [scores]

    def joined_scores(self, discriminators: nn.Module, domain: str, images: Tensor) -> Tensor:
        """Scores of all scales in one tensor, the sum of which penalties differentiate."""
        scores = self.scores(discriminators, domain, images)
        return scores[0] if len(scores) == 1 else torch.cat([s.flatten(1) for s in scores], 1)

    def loss(
        self,
        discriminators: nn.Module,
        domain: str,
        images: Tensor,
        target_is_real: bool,
        is_disc: bool = False,
    ) -> Tensor:
        """GAN loss of images, a scalar.

        Of a model's ``discriminator`` it is the sum over the scales, as in MUNIT. Of the others it
        is the mean, so that a weight means the same for any number of scales.
        """
        scores = self.scores(discriminators, domain, images)
        loss: Any = sum(self.gan_loss(score, target_is_real, is_disc=is_disc) for score in scores)
        if not self.name:
            return loss
        return loss / len(scores) if is_disc else self.weight * loss / len(scores)


class Adversaries:
    """All discriminators of a model; the losses of its ``discriminator`` alone have no suffix.

    Args:
        model (Translator): Its class is named in messages.
        discriminators (nn.ModuleDict, optional): By their domain; networks of ``more`` are added.
        gan_loss (nn.Module): GAN loss of ``discriminator``.
        augmentation (dict, optional): Arguments of :func:`augment` for what ``discriminator`` sees.
        penalties (dict): Weights of :func:`discriminator_penalties` for ``discriminator``.
        more (dict, optional): Settings of other discriminators by name, see :func:`_build`; None in
            their place leaves out what a base config has under that name.

    Raises:
        ValueError: A setting is unknown, missing or out of range.
    """

    def __init__(
        self,
        model: nn.Module,
        discriminators: nn.ModuleDict | None,
        gan_loss: nn.Module,
        augmentation: dict | None,
        penalties: dict[str, Any],
        more: dict | None,
    ) -> None:
        owner = type(model).__name__
        check_numbers(owner, least=0, **penalties)
        augmentation = _checked(f'{owner}.augmentation', augmentation)
        self.all = [Adversary('', gan_loss, 1.0, augmentation, penalties)]
        self.watch = GradientWatch()
        check_keys(owner, more or (), more_discriminators=more)
        domains = list(discriminators or ())
        for name, settings in (more or {}).items():
            if settings is None:
                continue
            adversary = _build(f'{owner}.more_discriminators.{name}', name, settings)
            self.all.append(adversary)
            for domain in domains:
                assert discriminators is not None
                discriminators[adversary.key(domain)] = MODELS.build(settings['network'])

    def discriminator_losses(
        self, discriminators: nn.Module, domain: str, real: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        """What each discriminator learns from: its losses of real and translated images, summed.

        Args:
            discriminators (nn.Module): Those of the model, maybe in a distributed wrapper.
            domain (str): Domain that the images should belong to.
            real (Tensor): Images of that domain, shape (B, 3, H, W), values in [-1, 1].
            fake (Tensor): Translations into it, same shape and range, detached.

        Returns:
            dict[str, Tensor]: Scalars ``loss_gan_d`` and ``loss_gan_d_{name}``, without weights.
        """
        losses = {}
        for adversary in self.all:
            fake_loss = adversary.loss(discriminators, domain, fake, False, is_disc=True)
            real_loss = adversary.loss(discriminators, domain, real, True, is_disc=True)
            losses[f'loss_gan_d{adversary.suffix}'] = fake_loss + real_loss
        return losses

    def penalties(
        self, discriminators: nn.Module, domain: str, real: Tensor, fake: Tensor
    ) -> dict[str, Tensor]:
        """Weighted penalties on the gradient of each discriminator that has some.

        Args are those of :meth:`discriminator_losses`; names end in ``_{name}`` likewise.
        """
        losses = {}
        for adversary in self.all:
            discriminate = partial(adversary.joined_scores, discriminators, domain)
            found = discriminator_penalties(discriminate, real, fake, **adversary.penalties)
            losses.update({f'{name}{adversary.suffix}': loss for name, loss in found.items()})
        return losses

    def check_compiled(self) -> None:
        """Raise ``ValueError`` if compiled networks cannot train as the settings say."""
        for adversary in self.all:
            if any(adversary.penalties.values()):
                raise ValueError(
                    f'gradient_penalty_weight and r1_weight of {adversary.setting} differentiate '
                    'twice, which compiled networks cannot: set compile=False'
                )

    def generator_losses(
        self, discriminators: nn.Module, domain: str, translated: Tensor
    ) -> dict[str, Tensor]:
        """What the generator pays each discriminator for not being believed.

        Args:
            discriminators (nn.Module): Those of the model; none of them trains now.
            domain (str): Domain that the translations should belong to.
            translated (Tensor): Shape (B, 3, H, W), values in [-1, 1].

        Returns:
            dict[str, Tensor]: Scalars ``loss_gan_g`` and ``loss_gan_g_{name}``, weighted.
        """
        views = self.watch.views(translated, [adversary.setting for adversary in self.all])
        return {
            f'loss_gan_g{adversary.suffix}': adversary.loss(discriminators, domain, view, True)
            for adversary, view in zip(self.all, views, strict=True)
        }


def _build(place: str, name: str, settings: Any) -> Adversary:
    """An adversary beside a model's ``discriminator``.

    Args:
        place (str): Where its settings stand, for messages.
        name (str): What its losses and networks are called.
        settings (dict): ``network`` (config of a discriminator), ``weight`` (1 where it is
            missing), ``gan_loss`` (hinge), ``augmentation`` (none), and the weights of
            :func:`discriminator_penalties` (0).
    """
    check_keys(place, _SETTINGS, settings=settings)
    network = settings.get('network')
    if not re.fullmatch(r'[A-Za-z]\w*', str(name)) or not isinstance(network, dict):
        raise ValueError(
            f'{place} must have a name of letters and digits and a network, the config of a '
            f'discriminator; got {settings!r}'
        )
    weight = settings.get('weight', 1.0)
    penalties: dict[str, Any] = {key: settings.get(key, 0.0) for key in _PENALTIES}
    check_numbers(place, least=0, weight=weight, **penalties)
    gan_loss = settings.get('gan_loss') or dict(type='GANLoss', gan_type='hinge')
    augmentation = _checked(f'{place}.augmentation', settings.get('augmentation'))
    return Adversary(name, MODELS.build(gan_loss), weight, augmentation, penalties)


def _checked(place: str, augmentation: dict | None) -> dict[str, Any]:
    """Arguments of :func:`augment`, whose names and values are right."""
    owner, _, name = place.rpartition('.')
    check_keys(owner, ('colour', 'translation', 'cutout'), **{name: augmentation})
    values = dict(augmentation or {})
    check_flags(place, **{k: v for k, v in values.items() if k == 'colour'})
    check_numbers(place, least=0, most=1, **{k: v for k, v in values.items() if k != 'colour'})
    return values
