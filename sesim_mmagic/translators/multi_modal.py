"""Many translations of one source: a content of the source, a style of the target domain."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmagic.models.utils import set_requires_grad
from mmagic.structures import DataSample
from mmengine.optim import OptimWrapperDict
from torch import Tensor

from sesim_mmagic.registry import MODELS, unwrapped
from sesim_mmagic.utils.checks import check_flags, check_ints, check_numbers

from .checks import finite_losses
from .domain_translator import DomainTranslator
from .structure import (
    Features,
    Lesson,
    check_optimizers,
    learn_structure,
    structure_distance,
)
from .styles import draw_styles, styles_of_images


class Direction(NamedTuple):
    """One direction of a training step; images (B, 3, H, W), styles (B, S)."""

    source: str
    target: str
    content: Tensor
    #: The source's own style; None if nothing is translated into the source domain.
    own_style: Tensor | None
    #: The style that was drawn for the translation.
    style: Tensor
    translated: Tensor
    #: What the structure loss sees in source and translation.
    features: tuple[Features, Features]


@MODELS.register_module()
class MultiModalTranslator(DomainTranslator):
    """Translates a source into many images of the target domain, one for every style.

    The auto-encoders of MUNIT (X. Huang et al., ECCV 2018): a content encoder, a style encoder and
    a decoder a domain. A translation is the source's content decoded with a style that is drawn
    from N(0, I), or encoded from an image of the target domain. What keeps its structure is, as in
    MUNIT, the reconstruction of content, style and images, and a cycle; or a structure loss
    between source and translation (Zheng et al., CVPR 2021, Sec. 3.3 and 4.2), which needs neither
    content reconstruction nor cycle, and hence no reverse direction.

    One-sided (``two_sided=False``) there is one auto-encoder, that of the target domain, whose
    content encoder reads sources as well, and one discriminator.

    Optimizer keys: ``generators``, ``discriminators`` and, if the structure loss learns,
    ``structure_loss``.

    Args:
        generator (dict): Config of an auto-encoder with the methods of ``MUNITGenerator``.
        discriminator (dict, optional): Config of the discriminator, which may return a list of
            scores, one per scale, whose losses are summed; None for inference only.
        two_sided (bool): Whether the target is translated into the source as well.
            Defaults to True.
        image_weight (float): Weight of the L1 reconstruction of an image from its own content and
            style. Defaults to 10.
        style_weight (float): Weight of the L1 reconstruction of the drawn style from the
            translation. Defaults to 1.
        content_weight (float): Weight of the L1 reconstruction of the content from the
            translation. Defaults to 1.
        cycle_weight (float): Weight of the L1 distance between a source and what becomes of its
            translation on the way back with the source's own style. Defaults to 0.
        num_styles (int): Translations of a source at test time. Defaults to 1.
        seed (int): Seed of the styles at test time. Defaults to 0.
        shared_styles (bool): Whether all sources have the same styles at test time, as the columns
            of a contact sheet; otherwise those of a source follow from the seed and the name of
            its file. Defaults to False.
        decode_batch (int): Most translations decoded at once at test time, which bounds memory.
            Defaults to 8.
        **kwargs: Those of :class:`DomainTranslator`.

    Raises:
        ValueError: If the settings do not fit together.
    """

    def __init__(
        self,
        generator: dict,
        discriminator: dict | None,
        two_sided: bool = True,
        image_weight: float = 10.0,
        style_weight: float = 1.0,
        content_weight: float = 1.0,
        cycle_weight: float = 0.0,
        num_styles: int = 1,
        seed: int = 0,
        shared_styles: bool = False,
        decode_batch: int = 8,
        **kwargs: Any,
    ) -> None:
        check_numbers(self, least=0, image_weight=image_weight, style_weight=style_weight)
        check_numbers(self, least=0, content_weight=content_weight, cycle_weight=cycle_weight)
        check_flags(self, two_sided=two_sided, shared_styles=shared_styles)
        check_ints(self, 1, num_styles=num_styles, decode_batch=decode_batch)
        check_ints(self, 0, seed=seed)
        if cycle_weight and not two_sided:
            raise ValueError('cycle_weight needs the way back: set two_sided=True')
        if not (style_weight or image_weight):
            raise ValueError(
                'nothing would train the style encoder: set style_weight or image_weight'
            )
        super().__init__(generator, discriminator, two_sided=two_sided, **kwargs)
        self.weights = dict(
            image=image_weight, style=style_weight, content=content_weight, cycle=cycle_weight
        )
        self.style_channels = self.generators[self.target_domain].style_channels
        self.num_styles = num_styles
        self.seed = seed
        self.shared_styles = shared_styles
        self.decode_batch = decode_batch

    def _encoder_of(self, domain: str) -> str:
        """The domain whose auto-encoder reads the contents of ``domain``."""
        return domain if domain in self.domains else self.target_domain

    # ---------------------------------------------------------------- training

    def train_step(self, data: dict, optim_wrapper: OptimWrapperDict) -> dict[str, Tensor]:
        """Update the structure loss if it learns, then the discriminators, then the generators.

        All see the same translations; MUNIT draws new styles for each update.

        Args:
            data (dict): A batch: ``inputs`` with ``img_{source_domain}`` and
                ``img_{target_domain}``, ``data_samples``.
            optim_wrapper (OptimWrapperDict): With keys ``generators``, ``discriminators`` and,
                if the structure loss learns, ``structure_loss``.

        Returns:
            dict[str, Tensor]: Each loss, weighted, detached, summed over directions.
        """
        check_optimizers(self.structure_loss, optim_wrapper)
        source, target = self._training_images(data)
        images = {self.source_domain: source, self.target_domain: target}
        gen_optim, disc_optim = optim_wrapper['generators'], optim_wrapper['discriminators']

        with gen_optim.optim_context(self.generators):
            directions, reconstruction = self._translate_batch(images)
        lessons = [Lesson(*d.features, images[d.source], images[d.target]) for d in directions]
        losses: dict[str, Any] = learn_structure(self.structure_loss, optim_wrapper, lessons)

        with disc_optim.optim_context(self.discriminators):
            disc_losses = summed(self._discriminator_losses(d, images) for d in directions)
        disc_optim.update_params(sum(disc_losses.values()))

        set_requires_grad(self.discriminators, False)
        with gen_optim.optim_context(self.generators):
            gen_losses = summed(self._generator_losses(d, images) for d in directions)
            gen_losses.update(reconstruction)
        gen_optim.update_params(sum(gen_losses.values()))
        set_requires_grad(self.discriminators, True)

        self.update_average()
        losses.update(disc_losses, **gen_losses)
        return finite_losses(losses)

    def _translate_batch(
        self, images: dict[str, Tensor]
    ) -> tuple[list[Direction], dict[str, Tensor]]:
        """Translate in all directions, and reconstruct the images (a weighted loss)."""
        contents, styles = {}, {}
        for domain, image in images.items():
            contents[domain], styles[domain] = self.generators(
                image, domain=self._encoder_of(domain), content_only=domain not in self.domains
            )
        directions = []
        for target, source in self.domains.items():
            content = contents[source]
            style = self._training_styles(content)
            translated = self.generators(domain=target, content=content, style=style)
            features = self._extract_features(source, images[source], translated)
            direction = Direction(
                source, target, content, styles[source], style, translated, features
            )
            directions.append(direction)
        if not self.weights['image']:
            return directions, {}
        distance: Any = 0.0
        for domain in self.domains:
            own = self.generators(domain=domain, content=contents[domain], style=styles[domain])
            distance = distance + F.l1_loss(own, images[domain])
        return directions, dict(loss_image_reconstruction=self.weights['image'] * distance)

    def _training_styles(self, contents: Tensor) -> Tensor:
        """One from N(0, I) for each content, shape (B, style_channels)."""
        like = next(self.generators.parameters())  # contents may be in half precision
        shape = len(contents), self.style_channels
        return torch.randn(shape, dtype=like.dtype, device=like.device)

    def _extract_features(
        self, domain: str, source: Tensor, translated: Tensor
    ) -> tuple[Features, Features]:
        """What the structure loss sees in source and translation, extracted once."""
        if self.structure_loss is None:
            return [], []
        generator = unwrapped(self.generators)[self._encoder_of(domain)]
        extract = unwrapped(self.structure_loss).extract
        return extract(source, generator), extract(translated, generator)

    def _discriminator_losses(
        self, direction: Direction, images: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        domain, fake = direction.target, direction.translated.detach()
        judged = self.discriminators, domain, images[domain], fake
        losses = self.adversaries.discriminator_losses(*judged)
        return {**losses, **self.adversaries.penalties(*judged)}

    def _generator_losses(
        self, direction: Direction, images: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        source, translated = images[direction.source], direction.translated
        losses = self.adversaries.generator_losses(
            self.discriminators, direction.target, translated
        )
        if self.structure_loss is not None:
            losses['loss_structure'] = structure_distance(self.structure_loss, *direction.features)
        losses.update(self.more_losses(source, translated))
        weights = self.weights
        if weights['style'] or weights['content'] or weights['cycle']:
            content, style = self.generators(translated, domain=direction.target)
            if weights['style']:
                distance = F.l1_loss(style, direction.style)
                losses['loss_style_reconstruction'] = weights['style'] * distance
            if weights['content']:
                distance = F.l1_loss(content, direction.content)
                losses['loss_content_reconstruction'] = weights['content'] * distance
            if weights['cycle']:
                back = self.generators(
                    domain=direction.source, content=content, style=direction.own_style
                )
                losses['loss_cycle'] = weights['cycle'] * F.l1_loss(back, source)
        return losses

    # --------------------------------------------------------------- inference

    def content_encoder(self, target: str) -> Any:
        """The auto-encoder that reads the contents of what is translated into ``target``."""
        return self.inference_generators[self._encoder_of(self.domains[target])]

    @torch.no_grad()
    def encode_style(self, images: Tensor, domain: str | None = None) -> Tensor:
        """Styles of images of a domain that is translated into.

        Args:
            images (Tensor): Shape (B, 3, H, W) of any size, values in [-1, 1].
            domain (str, optional): Their domain. Defaults to the target.

        Returns:
            Tensor: Shape (B, style_channels).
        """
        encoder = self.inference_generators[self.check_target(domain)]
        with self.inference_mode(encoder):
            return encoder.encode_style(self.pad(images))

    def _translate_padded(
        self, images: Tensor, target: str, styles: Tensor | None
    ) -> Iterator[Tensor]:
        """Contents are encoded once and decoded into ``decode_batch`` styles at a time."""
        if styles is None:
            styles = draw_styles(1, self.style_channels, self.seed)
        styles = styles_of_images(styles, len(images), self.style_channels).to(images)
        with self.inference_mode(self.content_encoder(target)) as encoder:
            contents = encoder.encode_content(images)
        for part in styles.split(self.decode_batch, dim=1):
            with self.inference_mode(self.inference_generators[target]) as decoder:
                pairs = zip(contents, part, strict=True)
                translated = [decoder.decode(content[None], style) for content, style in pairs]
            yield torch.stack(translated)

    def _test_outputs(
        self, images: Tensor, target: str, samples: Sequence[DataSample]
    ) -> dict[str, Tensor]:
        key = f'img_{self.domains[target]}_path'
        names = [None if self.shared_styles else sample.get(key, '') for sample in samples]
        styles = [
            draw_styles(self.num_styles, self.style_channels, self.seed, name) for name in names
        ]
        targets = self.translate(images, target, torch.stack(styles))
        outputs = {f'fake_{target}': targets[:, 0]}
        return outputs if self.num_styles == 1 else {**outputs, f'fakes_{target}': targets}


def summed(terms: Iterable[dict[str, Tensor]]) -> dict[str, Any]:
    """Losses of all directions, which have the same names."""
    losses = list(terms)
    return {name: sum(each[name] for each in losses) for name in losses[0]}
