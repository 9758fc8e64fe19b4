"""One generator, one discriminator, any structure loss."""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmagic.models.utils import set_requires_grad
from mmengine.optim import OptimWrapperDict
from torch import Tensor, nn

from sesim_mmagic.registry import MODELS, unwrapped
from sesim_mmagic.utils.checks import check_flags, check_numbers

from .checks import finite_losses
from .domain_translator import DomainTranslator
from .image_buffer import ImageBuffer
from .structure import Lesson, check_optimizers, learn_structure, structure_distance


class Images(NamedTuple):
    """Images of a training step, each (B, 3, H, W), values in [-1, 1]."""

    source: Tensor
    target: Tensor
    translated: Tensor
    #: What the generator makes of ``target``, if a loss compares the two.
    identity: Tensor | None = None


class ImageFeatures(NamedTuple):
    """What the structure loss sees in these images, one map (B, C, h, w) per layer."""

    source: list[Tensor] = []
    target: list[Tensor] = []
    translated: list[Tensor] = []
    identity: list[Tensor] = []


@MODELS.register_module()
class OneSidedTranslator(DomainTranslator):
    """Translates one domain into another with a single generator.

    A discriminator judges whether translations have the target's appearance; a structure loss
    between source and translation keeps the source's structure (Zheng et al., CVPR 2021,
    Sec. 3.3). The optimizers have the keys ``generators``, ``discriminators`` and, if the
    structure loss learns, ``structure_loss``.

    Args:
        identity_weight (float): Weight of the L1 distance between an image of the target
            domain and what the generator makes of it. Defaults to 0.
        structure_identity_weight (float): Factor on the structure loss between those two
            (identity NCE in CUT). Defaults to 0.
        flip_equivariance (bool): Whether batches are mirrored for the generator with probability
            1/2, and their translations mirrored back for the structure loss (as in FastCUT).
            Defaults to False.
        buffer_size (int): Size of the image buffer; 0 for none. Defaults to 50.
        **kwargs: Those of :class:`DomainTranslator`, whose ``two_sided`` is False.

    Raises:
        ValueError: If the settings do not fit together.
    """

    def __init__(
        self,
        identity_weight: float = 0.0,
        structure_identity_weight: float = 0.0,
        flip_equivariance: bool = False,
        buffer_size: int = 50,
        **kwargs: Any,
    ) -> None:
        check_numbers(
            self,
            least=0,
            identity_weight=identity_weight,
            structure_identity_weight=structure_identity_weight,
        )
        check_flags(self, flip_equivariance=flip_equivariance)
        if structure_identity_weight and not kwargs.get('structure_loss'):
            raise ValueError('structure_identity_weight needs a structure_loss')
        super().__init__(two_sided=False, **kwargs)
        self.identity_weight = identity_weight
        self.structure_identity_weight = structure_identity_weight
        self.flip_equivariance = flip_equivariance
        self.image_buffers = nn.ModuleDict({self.target_domain: ImageBuffer(buffer_size)})

    # ---------------------------------------------------------------- training

    def train_step(self, data: dict, optim_wrapper: OptimWrapperDict) -> dict[str, Tensor]:
        """Update the structure loss if it learns, then the discriminator, then the generator.

        Args:
            data (dict): A batch: ``inputs`` with ``img_{source_domain}`` and
                ``img_{target_domain}``, ``data_samples``.
            optim_wrapper (OptimWrapperDict): With keys ``generators``, ``discriminators`` and,
                if the structure loss learns, ``structure_loss``.

        Returns:
            dict[str, Tensor]: Each loss, weighted, detached.
        """
        check_optimizers(self.structure_loss, optim_wrapper)
        source, target = self._training_images(data)
        gen_optim, disc_optim = optim_wrapper['generators'], optim_wrapper['discriminators']
        mirrored = self.flip_equivariance and bool(torch.rand(()) < 0.5)

        with gen_optim.optim_context(self.generators):
            images, encoded = self._translate_batch(source, target, mirrored)
            features = self._extract_features(images, encoded, mirrored)

        lesson = Lesson(features.source, features.translated, source, target)
        losses: dict[str, Any] = learn_structure(self.structure_loss, optim_wrapper, [lesson])

        with disc_optim.optim_context(self.discriminators):
            disc_losses = self._discriminator_losses(images)
        disc_optim.update_params(sum(disc_losses.values()))

        set_requires_grad(self.discriminators, False)
        with gen_optim.optim_context(self.generators):
            gen_losses = self._generator_losses(images, features, mirrored)
        gen_optim.update_params(sum(gen_losses.values()))
        set_requires_grad(self.discriminators, True)

        self.update_average()
        losses.update(disc_losses, **gen_losses)
        return finite_losses(losses)

    def _translate_batch(
        self, source: Tensor, target: Tensor, mirrored: bool
    ) -> tuple[Images, dict[str, list[Tensor]]]:
        """Translate the batch in one pass of the generator.

        If the structure loss sees images through the generator, this pass also gives the features
        of the real images, by their names in :class:`ImageFeatures`.
        """
        real = dict(source=source)
        if self.identity_weight or self.structure_identity_weight:
            real['target'] = target
        sizes = [len(images) for images in real.values()]
        images = torch.cat(list(real.values()))
        encoded: dict[str, list[Tensor]] = {}
        loss = unwrapped(self.structure_loss)
        if loss is not None and loss.needs_generator and not mirrored:
            outputs, maps = self.generators(images, domain=self.target_domain, layers=loss.layers)
            parts = zip(*(layer.detach().split(sizes) for layer in maps), strict=True)
            encoded = {name: list(part) for name, part in zip(real, parts, strict=True)}
        else:
            images = images.flip(3) if mirrored else images
            outputs = self.generators(images, domain=self.target_domain)
        translated, *identity = outputs.split(sizes)
        return Images(source, target, translated, *identity), encoded

    def _extract_features(
        self, images: Images, encoded: dict[str, list[Tensor]], mirrored: bool
    ) -> ImageFeatures:
        """Extract once what the structure loss needs, beyond what is ``encoded`` already.

        Features of translations of mirrored images are mirrored back (flip equivariance).
        """
        if self.structure_loss is None:
            return ImageFeatures()
        names = ['source', 'translated']
        names += ['target', 'identity'] if self.structure_identity_weight else []
        loss = unwrapped(self.structure_loss)
        generator = unwrapped(self.generators)[self.target_domain]
        features = {}
        for name in names:
            features[name] = encoded.get(name) or loss.extract(getattr(images, name), generator)
            if mirrored and name in ('translated', 'identity'):
                features[name] = [maps.flip(3) for maps in features[name]]
        return ImageFeatures(**features)

    def _discriminator_losses(self, images: Images) -> dict[str, Tensor]:
        buffer: Any = self.image_buffers[self.target_domain]
        fake = buffer.query(images.translated)
        judged = self.discriminators, self.target_domain, images.target, fake
        losses = self.adversaries.discriminator_losses(*judged)
        # Halved as in CycleGAN, so that discriminators learn more slowly than the generator.
        losses = {name: 0.5 * loss for name, loss in losses.items()}
        return {**losses, **self.adversaries.penalties(*judged)}

    def _generator_losses(
        self, images: Images, features: ImageFeatures, mirrored: bool
    ) -> dict[str, Tensor]:
        losses = self.adversaries.generator_losses(
            self.discriminators, self.target_domain, images.translated
        )
        loss = self.structure_loss
        if loss is not None:
            distance = structure_distance(loss, features.source, features.translated)
            losses['loss_structure'] = distance
        translated = images.translated.flip(3) if mirrored else images.translated
        losses.update(self.more_losses(images.source, translated))
        if self.identity_weight:
            assert images.identity is not None
            target = images.target.flip(3) if mirrored else images.target
            losses['loss_identity'] = self.identity_weight * F.l1_loss(images.identity, target)
        if self.structure_identity_weight:
            distance = structure_distance(loss, features.target, features.identity)
            losses['loss_structure_identity'] = self.structure_identity_weight * distance
        return losses
