"""One generator, one discriminator, any structure loss."""

import torch
import torch.nn.functional as F
from mmagic.models.utils import set_requires_grad
from mmengine.optim import OptimWrapperDict
from torch import Tensor, nn

from sesim_mmagic.registry import MODELS
from sesim_mmagic.utils.checks import check_flags, check_numbers

from .checks import finite_losses
from .domain_networks import reachable_networks, unwrapped
from .domain_translator import DomainTranslator
from .image_buffer import ImageBuffer
from .penalties import discriminator_penalties
from .structure_step import StructureStep, Translation, check_optimizers


@MODELS.register_module()
class OneSidedTranslator(DomainTranslator):
    """Translates one domain into another with a single generator.

    A discriminator asks for the target's appearance; a structure loss between source and
    translation asks for the source's structure (Zheng et al., CVPR 2021, Sec. 3.3). Optimizer
    keys: ``generators``, ``discriminators`` and, if the structure loss learns,
    ``structure_loss``.

    Args:
        generator (dict): Config of the generator, (B, 3, H, W) to (B, 3, H, W), both in
            [-1, 1].
        discriminator (dict, optional): Config of the discriminator; None for inference only.
        source_domain (str): Name of the source; its images come as ``img_{source_domain}``.
        target_domain (str): Name of the target; translations leave as ``fake_{target_domain}``.
        data_preprocessor (dict): Config of MMagic's ``DataPreprocessor``.
        gan_loss (dict, optional): Config of the GAN loss. MMagic's ``GANLoss`` with
            ``gan_type`` 'lsgan', 'hinge' or 'vanilla'; the last is the non-saturating
            logistic loss. Defaults to LSGAN.
        structure_loss (dict, optional): Config of a structure loss. Defaults to None.
        style_loss (dict, optional): Config of a style loss between translation and a real
            image of the target. Defaults to None.
        identity_weight (float): Weight of the L1 distance between an image of the target
            domain and what the generator makes of it. Defaults to 0.
        structure_identity_weight (float): Factor on the structure loss between those two
            (identity NCE in CUT). Defaults to 0.
        flip_equivariance (bool): Whether the generator sees every other batch mirrored, and its
            translations are mirrored back for the structure loss (as in FastCUT).
            Defaults to False.
        gradient_penalty_weight (float): Weight of the discriminator's gradient penalty
            towards norm 1 on mixed samples (Gulrajani et al., NeurIPS 2017). Defaults to 0.
        r1_weight (float): Weight of the R1 penalty on real images (Mescheder et al., ICML 2018),
            as in SinCUT. Defaults to 0.
        buffer_size (int): Size of the image buffer; 0 for none. Defaults to 50.
        ema (dict, optional): Arguments of MMEngine's ``ExponentialMovingAverage`` of the
            generators (``momentum``, ``interval``), which then translates.
            Defaults to None.
        size_divisor (int): The generator needs sides that are multiples of this; at test
            time images are padded and their translations cropped. Defaults to 4.
        channels_last (bool): Keep the networks in channels-last memory format.
            Defaults to False.
        compile (bool | dict): Compile the networks; a dictionary holds arguments of
            ``torch.compile``. Defaults to False.

    Raises:
        ValueError: If the settings do not fit together.
    """

    def __init__(
        self,
        generator: dict,
        discriminator: dict | None,
        source_domain: str,
        target_domain: str,
        data_preprocessor: dict,
        gan_loss: dict | None = None,
        structure_loss: dict | None = None,
        style_loss: dict | None = None,
        identity_weight: float = 0.0,
        structure_identity_weight: float = 0.0,
        flip_equivariance: bool = False,
        gradient_penalty_weight: float = 0.0,
        r1_weight: float = 0.0,
        buffer_size: int = 50,
        ema: dict | None = None,
        size_divisor: int = 4,
        channels_last: bool = False,
        compile: bool | dict = False,
    ) -> None:
        check_numbers(
            self,
            least=0,
            identity_weight=identity_weight,
            structure_identity_weight=structure_identity_weight,
            gradient_penalty_weight=gradient_penalty_weight,
            r1_weight=r1_weight,
        )
        check_flags(self, flip_equivariance=flip_equivariance)
        if structure_identity_weight and structure_loss is None:
            raise ValueError('structure_identity_weight needs a structure_loss')
        if (gradient_penalty_weight or r1_weight) and compile is not False:
            raise ValueError(
                'gradient_penalty_weight and r1_weight differentiate twice, which compiled '
                'networks cannot: set compile=False'
            )
        super().__init__(
            generator,
            discriminator,
            source_domain,
            target_domain,
            two_sided=False,
            data_preprocessor=data_preprocessor,
            gan_loss=gan_loss,
            image_losses=dict(structure_loss=structure_loss, style_loss=style_loss),
            size_divisor=size_divisor,
        )
        self.identity_weight = identity_weight
        self.structure_identity_weight = structure_identity_weight
        self.flip_equivariance = flip_equivariance
        self.penalty_weights = dict(
            gradient_penalty_weight=gradient_penalty_weight, r1_weight=r1_weight
        )
        self.image_buffers = nn.ModuleDict({target_domain: ImageBuffer(buffer_size)})
        self._finish(ema, channels_last, compile)

    # ---------------------------------------------------------------- training

    def train_step(self, data: dict, optim_wrapper: OptimWrapperDict) -> dict[str, Tensor]:
        """One update of a structure loss that learns, of the discriminator, of the generator.

        Args:
            data (dict): A batch: ``inputs`` with ``img_{source_domain}`` and
                ``img_{target_domain}``, for some structure losses also with ``img_{domain}_aug``
                of both, ``data_samples``.
            optim_wrapper (OptimWrapperDict): With keys ``generators``, ``discriminators`` and,
                if the structure loss learns, ``structure_loss``.

        Returns:
            dict[str, Tensor]: Each loss, weighted, detached.
        """
        check_optimizers(self.structure_loss, optim_wrapper)
        source, target, *views = self._training_inputs(data)
        images = Translation(source, None, target, *views)
        gen_optim, disc_optim = optim_wrapper['generators'], optim_wrapper['discriminators']
        mirrored = self.flip_equivariance and bool(torch.rand(()) < 0.5)
        structure = StructureStep(self.structure_loss, mirrored)

        with gen_optim.optim_context(self.generators):
            translated, identity = self._translate_batch(structure, images.source, images.target)
        images = images._replace(translated=translated)

        losses = structure.learn(optim_wrapper, [images])

        with disc_optim.optim_context(self.discriminators):
            disc_losses = self._discriminator_losses(images.target, translated)
        disc_optim.update_params(sum(disc_losses.values()))

        set_requires_grad(self.discriminators, False)
        with gen_optim.optim_context(self.generators):
            gen_losses = self._generator_losses(structure, images, identity)
        gen_optim.update_params(sum(gen_losses.values()))
        set_requires_grad(self.discriminators, True)

        if self.generator_ema is not None:
            self.generator_ema.update_parameters(unwrapped(self.generators))
        losses.update(disc_losses, **gen_losses)
        return finite_losses(losses)

    @property
    def _bare_generator(self) -> nn.Module:
        return unwrapped(self.generators)[self.target_domain]

    def _translate_batch(
        self, structure: StructureStep, source: Tensor, target: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """The translation and, if a loss wants it, what becomes of the target's images."""
        wants_identity = self.identity_weight or self.structure_identity_weight
        given = [source, target] if wants_identity else [source]
        images = torch.cat(given)
        if structure.mirrored:
            images = images.flip(3)
        if structure.looks_through_generator and not structure.mirrored:
            # The features of this very pass are what the loss sees in source and target.
            outputs, features = self.generators(
                images, domain=self.target_domain, layers=structure.loss.layers
            )
            looks = zip(*(f.detach().split([len(i) for i in given]) for f in features), strict=True)
            for seen, look in zip(given, looks, strict=True):
                structure.remember(seen, self._bare_generator, list(look))
        else:
            outputs = self.generators(images, domain=self.target_domain)
        translated, *identity = outputs.split([len(i) for i in given])
        return translated, identity[0] if wants_identity else None

    def _discriminator_losses(self, target: Tensor, translated: Tensor) -> dict[str, Tensor]:
        discriminate = reachable_networks(self.discriminators)[self.target_domain]
        fake = self.image_buffers[self.target_domain].query(translated)
        fake_loss = self.gan_loss(discriminate(fake), target_is_real=False, is_disc=True)
        real_loss = self.gan_loss(discriminate(target), target_is_real=True, is_disc=True)
        # Halved as in CycleGAN: the discriminator learns at half the generator's lr_scale.
        penalties = discriminator_penalties(discriminate, target, fake, **self.penalty_weights)
        return {'loss_gan_d': 0.5 * (fake_loss + real_loss), **penalties}

    def _generator_losses(
        self, structure: StructureStep, images: Translation, identity: Tensor | None
    ) -> dict[str, Tensor]:
        source, translated, target = images[:3]
        discriminate = reachable_networks(self.discriminators)[self.target_domain]
        losses = {'loss_gan_g': self.gan_loss(discriminate(translated), target_is_real=True)}
        if self.structure_loss is not None:
            losses['loss_structure'] = structure.distance(source, translated, self._bare_generator)
        if self.style_loss is not None:
            losses['loss_style'] = self.style_loss(target, translated)
        if self.identity_weight:
            wanted = target.flip(3) if structure.mirrored else target
            losses['loss_identity'] = self.identity_weight * F.l1_loss(identity, wanted)
        if self.structure_identity_weight:
            distance = structure.distance(target, identity, self._bare_generator)
            losses['loss_structure_identity'] = self.structure_identity_weight * distance
        return losses
