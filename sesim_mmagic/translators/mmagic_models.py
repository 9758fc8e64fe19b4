"""MMagic's CycleGAN and Pix2Pix with a structure loss, trained right on several ranks."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch.nn.functional as F
from mmagic.models import CycleGAN, Pix2Pix
from mmagic.models.editors.pix2pix import UnetGenerator
from torch import Tensor, nn

from sesim_mmagic.registry import MODELS, unwrapped
from sesim_mmagic.utils.checks import check_keys, check_numbers

from .adversary import Adversaries
from .checks import check_training_batch, finite_losses
from .domain_networks import DomainNetworks, reachable_networks
from .image_buffer import ImageBuffer
from .padding import size_divisor_of
from .structure import (
    Lesson,
    MoreLosses,
    build_structure_loss,
    check_optimizers,
    learn_structure,
    structure_distance,
)
from .translator import Translator


class StructureLossMixin(Translator):
    """Adds a structure loss to a translation model of MMagic.

    Everything else is MMagic's own code. What changes for it: networks are called through
    their distributed wrapper, so gradients are averaged, and image buffers live in the
    checkpoint.

    Args:
        structure_loss (dict, optional): Config of a structure loss between each source and
            its translation. Defaults to None: exactly MMagic's training.
        more_losses (dict, optional): As of :class:`DomainTranslator`. Defaults to None.
        channels_last (bool): Keep the networks in channels-last memory format.
            Defaults to False.
        ema (dict, optional): Arguments of MMEngine's ``ExponentialMovingAverage`` of the
            generators (``momentum``, ``interval``), which then do the inference.
            Defaults to None.
        compile (bool | dict): Compile the networks; a dictionary holds arguments of
            ``torch.compile``. Defaults to False.
        with_cp (bool): Compute the networks' maps again in the backward pass, in place of keeping
            them: the same gradients in less memory (activation checkpointing).
            Excludes ``compile``. Defaults to False.

    Raises:
        ValueError: A setting makes no sense, or MMagic's model reads no such weight.
    """

    #: What ``loss_config`` may hold.
    loss_weights: tuple[str, ...] = ()
    _lessons: dict[str, Lesson]

    def __init__(
        self,
        *args: Any,
        structure_loss: dict | None = None,
        more_losses: dict | None = None,
        ema: dict | None = None,
        channels_last: bool = False,
        compile: bool | dict = False,
        with_cp: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        check_keys(self, self.loss_weights, loss_config=self.loss_config)
        for name in self.loss_config or {}:
            check_numbers(self, least=0, **{name: self.loss_config[name]})
        # The default first; of several sources the first that was declared.
        targets = dict.fromkeys([self._default_domain, *self._reachable_domains])
        self.domains = {target: self.get_other_domains(target)[0] for target in targets}
        self.generators = DomainNetworks(self.generators)
        generator = self.generators[self._default_domain]
        self.size_divisor = size_divisor_of(generator)
        # A U-Net comes down to one position; others reflect their smallest map.
        positions = 1 if isinstance(generator, UnetGenerator) else 2
        self.smallest_side = positions * self.size_divisor
        if self.discriminators is not None:
            self.discriminators = DomainNetworks(self.discriminators)
        owner = type(self).__name__
        self.structure_loss = build_structure_loss(f'{owner}.structure_loss', structure_loss)
        self.more_losses = MoreLosses(owner, more_losses)
        self._finish(ema, channels_last, compile, with_cp)

    def get_other_domains(self, domain: str) -> list[str]:
        """The other domains, in the order they were declared."""
        return [name for name in self._related_domains if name != domain]

    def get_module(self, module: nn.Module) -> Any:
        """Networks as MMagic's steps call them: through the wrapper wherever they train."""
        return reachable_networks(module)

    def train_step(self, data: dict, optim_wrapper: Any = None) -> dict[str, Tensor]:
        """MMagic's training step, on a checked batch.

        A structure loss that learns is updated before the networks, by the optimizer
        ``structure_loss``.
        """
        check_optimizers(self.structure_loss, optim_wrapper)
        check_training_batch(data, [f'img_{domain}' for domain in self._related_domains])
        # MMagic's step asks for one loss after the other: what they need is at hand meanwhile.
        self._optim_wrapper, self._lessons = optim_wrapper, {}
        try:
            log_vars = super().train_step(data, optim_wrapper)
        finally:
            del self._optim_wrapper, self._lessons
        self.update_average()
        return finite_losses(log_vars)

    def _get_disc_loss(self, outputs: dict[str, Tensor]) -> tuple[Tensor, dict]:
        """MMagic's discriminator loss, after an update of a structure loss that learns."""
        self._lessons = self._extract_features(outputs)
        learned = learn_structure(self.structure_loss, self._optim_wrapper, self._lessons.values())
        loss, log_vars = super()._get_disc_loss(outputs)
        return loss, {**log_vars, **learned}

    def _get_gen_loss(self, outputs: dict[str, Tensor]) -> tuple[Tensor, dict]:
        """MMagic's generator loss plus the structure loss, and more, of every direction."""
        loss, log_vars = super()._get_gen_loss(outputs)
        for target in self._reachable_domains:
            images = outputs[f'real_{self.domains[target]}'], outputs[f'fake_{target}']
            distances = self.more_losses(*images)
            if target in self._lessons:
                features = self._lessons[target][:2]
                distances['loss_structure'] = structure_distance(self.structure_loss, *features)
            for name, distance in distances.items():
                loss = loss + distance
                log_vars[f'{name}_{target}'] = distance.detach()
        log_vars['loss'] = loss.detach()
        return loss, log_vars

    def _extract_features(self, outputs: dict[str, Tensor]) -> dict[str, Lesson]:
        """What the structure loss sees in each direction, by its target domain; extracted once."""
        if self.structure_loss is None:
            return {}
        lessons = {}
        for target in self._reachable_domains:
            source = outputs[f'real_{self.domains[target]}']
            generator = unwrapped(self.generators)[target]
            extract = unwrapped(self.structure_loss).extract
            lessons[target] = Lesson(
                extract(source, generator),
                extract(outputs[f'fake_{target}'], generator),
                source,
                outputs[f'real_{target}'],
            )
        return lessons

    @contextmanager
    def inference_mode(self, network: nn.Module) -> Iterator[Any]:
        """Eval mode, but batch norms take the statistics of the images, as MMagic's models do."""
        norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        tracked = [norm.track_running_stats for norm in norms]
        with super().inference_mode(network):
            try:
                for norm in norms:
                    norm.train()
                    norm.track_running_stats = False  # the training's statistics stay
                yield network
            finally:
                for norm, was_tracked in zip(norms, tracked, strict=True):
                    norm.track_running_stats = was_tracked


class AdversarialCycleGAN(CycleGAN):
    """MMagic's CycleGAN with :class:`Adversaries` for its one discriminator a domain.

    MMagic's losses take one tensor of scores of one discriminator; of such these have the values,
    bit for bit.

    Args:
        augmentation (dict, optional): As of :class:`DomainTranslator`. Defaults to None.
        more_discriminators (dict, optional): As of :class:`DomainTranslator`. Defaults to None.
        *args, **kwargs: Those of MMagic's ``CycleGAN``.
    """

    def __init__(
        self,
        *args: Any,
        augmentation: dict | None = None,
        more_discriminators: dict | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        gan_loss = MODELS.build(dict(type='GANLoss', gan_type='lsgan'))
        self.adversaries = Adversaries(
            self, self.discriminators, gan_loss, augmentation, {}, more_discriminators
        )

    def _get_disc_loss(self, outputs: dict[str, Tensor]) -> tuple[Tensor, dict]:
        losses: dict[str, Tensor] = {}
        penalties: dict[str, Tensor] = {}
        for domain in self._reachable_domains:
            fake = self.image_buffers[domain].query(outputs[f'fake_{domain}'])
            images = self.discriminators, domain, outputs[f'real_{domain}'], fake
            judged = self.adversaries.discriminator_losses(*images)
            losses.update({f'{name}_{domain}': 0.5 * loss for name, loss in judged.items()})
            found = self.adversaries.penalties(*images)
            penalties.update({f'{name}_{domain}': loss for name, loss in found.items()})
        # MMagic logs half of what counts, since it halves its losses in place.
        logged = {name: 0.5 * loss.detach() for name, loss in losses.items()}
        logged.update({name: loss.detach() for name, loss in penalties.items()})
        return self.parse_losses({**losses, **penalties})[0], logged

    def _get_gen_loss(self, outputs: dict[str, Tensor]) -> tuple[Tensor, dict]:
        generators = self.get_module(self.generators)
        losses: dict[str, Any] = {}
        for domain in self._reachable_domains:
            outputs[f'identity_{domain}'] = generators[domain](outputs[f'real_{domain}'])
            judged = self.adversaries.generator_losses(
                self.discriminators, domain, outputs[f'fake_{domain}']
            )
            losses.update({f'{name}_{domain}': loss for name, loss in judged.items()})
        losses['cycle_loss'] = self._distance('cycle', 'cycle_loss_weight', outputs)
        if self.loss_config['id_loss_weight']:
            losses['id_loss'] = self._distance('identity', 'id_loss_weight', outputs)
        return self.parse_losses(losses)

    def _distance(self, made: str, weight: str, outputs: dict[str, Tensor]) -> Any:
        """Weighted L1 distance of what was made of real images from these, summed over domains."""
        return sum(
            self.loss_config[weight]
            * F.l1_loss(outputs[f'{made}_{domain}'], outputs[f'real_{domain}'])
            for domain in self._reachable_domains
        )


@MODELS.register_module()
class SeSimCycleGAN(StructureLossMixin, AdversarialCycleGAN):
    """CycleGAN (Zhu et al., ICCV 2017) with a structure loss in both directions.

    Args:
        *args, **kwargs: Those of :class:`AdversarialCycleGAN` and of :class:`StructureLossMixin`.
    """

    loss_weights = ('cycle_loss_weight', 'id_loss_weight')

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        missing = [name for name in self.loss_weights if name not in (self.loss_config or {})]
        if missing and self.discriminators is not None:  # else it does not train
            raise ValueError(f'SeSimCycleGAN: loss_config has no {missing[0]}')
        self.image_buffers = nn.ModuleDict(
            {domain: ImageBuffer(self.buffer_size) for domain in self._reachable_domains}
        )


@MODELS.register_module()
class SeSimPix2Pix(StructureLossMixin, Pix2Pix):
    """Pix2Pix (Isola et al., CVPR 2017) with a structure loss.

    Args:
        *args, **kwargs: Those of MMagic's ``Pix2Pix`` and of :class:`StructureLossMixin`.
    """

    loss_weights = ('pixel_loss_weight',)
