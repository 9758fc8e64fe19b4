"""MMagic's CycleGAN and Pix2Pix with a structure loss, trained right on several ranks."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmagic.models import CycleGAN, Pix2Pix
from mmagic.models.editors.pix2pix import UnetGenerator
from mmengine.model import ExponentialMovingAverage
from torch import Tensor, nn

from sesim_mmagic.registry import MODELS
from sesim_mmagic.utils.checks import check_keys, check_numbers

from .acceleration import accelerate
from .checks import (
    check_average,
    check_channel_order,
    check_generator_features,
    check_training_batch,
    check_weights,
    finite_losses,
)
from .domain_networks import DomainNetworks, drop_wrapper_names, reachable_networks, unwrapped
from .image_buffer import ImageBuffer
from .one_channel import adapt_channels
from .padding import size_divisor_of
from .structure_step import (
    StructureStep,
    Translation,
    check_optimizers,
    training_keys,
    view_key,
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
        channels_last (bool): Keep the networks in channels-last memory format.
            Defaults to False.
        ema (dict, optional): Arguments of MMEngine's ``ExponentialMovingAverage`` of the
            generators (``momentum``, ``interval``), which then do the inference.
            Defaults to None.
        compile (bool | dict): Compile the networks; a dictionary holds arguments of
            ``torch.compile``. Defaults to False.

    Raises:
        ValueError: A setting makes no sense, or the host reads no such weight.
    """

    #: What ``loss_config`` may hold.
    loss_weights: tuple[str, ...] = ()

    def __init__(
        self,
        *args: Any,
        structure_loss: dict | None = None,
        ema: dict | None = None,
        channels_last: bool = False,
        compile: bool | dict = False,
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
        self.structure_loss = MODELS.build(structure_loss) if structure_loss else None
        self.generator_ema = None
        self.grey_domains = adapt_channels(self)  # before the average is copied
        if ema is not None:
            check_average(self, ema)
            self.generator_ema = ExponentialMovingAverage(self.generators, **ema)
        check_channel_order(self.data_preprocessor, self.structure_loss)
        check_generator_features(self.structure_loss, *self.generators.values())
        accelerate(self, channels_last, compile)
        self._register_state_dict_hook(drop_wrapper_names)
        self.register_load_state_dict_pre_hook(check_weights)

    def init_weights(self) -> None:
        """Initialise the networks and read the structure loss's feature weights."""
        super().init_weights()
        if self.structure_loss is not None:
            unwrapped(self.structure_loss).init_weights()

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
        domains = self._related_domains
        check_optimizers(self.structure_loss, optim_wrapper)
        check_training_batch(data, training_keys(self.structure_loss, domains))
        # MMagic's step asks for one loss after the other and names real images and
        # translations alone: what else they need is at hand while it runs.
        self._step = StructureStep(self.structure_loss)
        self._optim_wrapper, self._inputs = optim_wrapper, {}
        hook = self.data_preprocessor.register_forward_hook(self._keep_inputs)
        try:
            log_vars = super().train_step(data, optim_wrapper)
        finally:
            hook.remove()
            del self._step, self._optim_wrapper, self._inputs
        if self.generator_ema is not None:
            self.generator_ema.update_parameters(unwrapped(self.generators))
        return finite_losses(log_vars)

    @contextmanager
    def inference_mode(self, network: nn.Module) -> Iterator[nn.Module]:
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

    def _keep_inputs(self, preprocessor: nn.Module, args: tuple, output: dict) -> None:
        self._inputs = output['inputs']

    def _translations(self, outputs: dict[str, Tensor]) -> Iterator[Translation]:
        for target in self._reachable_domains:
            source = self.domains[target]
            yield Translation(
                outputs[f'real_{source}'],
                outputs[f'fake_{target}'],
                outputs[f'real_{target}'],
                self._inputs.get(view_key(source)),
                self._inputs.get(view_key(target)),
            )

    def _get_disc_loss(self, outputs: dict[str, Tensor]) -> tuple[Tensor, dict]:
        """MMagic's discriminator loss, after an update of a structure loss that learns."""
        learned = self._step.learn(self._optim_wrapper, self._translations(outputs))
        loss, log_vars = super()._get_disc_loss(outputs)
        return loss, {**log_vars, **learned}

    def _get_gen_loss(self, outputs: dict[str, Tensor]) -> tuple[Tensor, dict]:
        """MMagic's generator loss plus the structure loss of every direction."""
        loss, log_vars = super()._get_gen_loss(outputs)
        if self.structure_loss is None:
            return loss, log_vars
        directions = zip(self._reachable_domains, self._translations(outputs), strict=True)
        for target, images in directions:
            generator = unwrapped(self.generators)[target]
            structure = self._step.distance(images.source, images.translated, generator)
            loss = loss + structure
            log_vars[f'loss_structure_{target}'] = structure.detach()
        log_vars['loss'] = loss.detach()
        return loss, log_vars


@MODELS.register_module()
class SeSimCycleGAN(StructureLossMixin, CycleGAN):
    """CycleGAN (Zhu et al., ICCV 2017) with a structure loss in both directions.

    Args:
        *args, **kwargs: Those of MMagic's ``CycleGAN`` and of :class:`StructureLossMixin`.
    """

    loss_weights = ('cycle_loss_weight', 'id_loss_weight')

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        missing = [name for name in self.loss_weights if name not in self.loss_config]
        if missing:
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
