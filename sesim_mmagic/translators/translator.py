"""What every translation model of this package can be asked."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmagic.structures import DataSample
from mmengine.model import BaseModel
from torch import Tensor, nn

from sesim_mmagic.losses import StructureLoss
from sesim_mmagic.networks import ProjectedDiscriminator
from sesim_mmagic.registry import unwrapped
from sesim_mmagic.utils.samples import is_repeated

from .acceleration import accelerate
from .checks import check_average, check_channel_order, check_generator_features, check_weights
from .domain_networks import drop_wrapper_names
from .moving_average import MovingAverage
from .one_channel import adapt_channels
from .padding import pad_to_multiple
from .structure import MoreLosses


class Translator(BaseModel):
    """The interface of a translation model: which domains it knows, how it translates images.

    Attributes:
        generators (DomainNetworks): By their target domain, maybe in a distributed wrapper.
        discriminators (DomainNetworks, optional): Likewise; None for inference only.
        domains (dict[str, str]): Source domain by target domain, the default target first.
        size_divisor (int): Sides of the images that the generators take are multiples of this.
        smallest_side (int): No side is shorter.
        structure_loss (nn.Module, optional): Maybe in a distributed wrapper.
        more_losses (MoreLosses): Losses beside it, by their names.
        generator_ema (MovingAverage, optional): Moving average of ``generators``.
        adversaries (Adversaries, optional): How scores of ``discriminators`` become losses.
        style_channels (int): Numbers that describe a style, S; 0 where there are no styles.
        num_styles (int): Translations of a source in a test; 0 where there are no styles.
    """

    generators: Any
    discriminators: Any
    domains: dict[str, str]
    size_divisor: int
    smallest_side: int
    structure_loss: nn.Module | None
    more_losses: MoreLosses
    generator_ema: MovingAverage | None
    adversaries: Any = None
    style_channels: int = 0
    num_styles: int = 0

    def _finish(
        self,
        ema: dict | None,
        channels_last: bool,
        compile: bool | dict[str, Any],
        with_cp: bool,
    ) -> None:
        """The end of a subclass's construction: what needs all networks to be there.

        Args:
            ema (dict, optional): Arguments of MMEngine's ``ExponentialMovingAverage`` of the
                generators.
            channels_last (bool): See :func:`accelerate`.
            compile (bool | dict): See :func:`accelerate`.
            with_cp (bool): See :func:`accelerate`.
        """
        adapt_channels(self)  # before the average is copied
        self.generator_ema = None
        if ema is not None:
            check_average(self, ema)
            self.generator_ema = MovingAverage(self.generators, **ema)
        losses = self.image_losses.values()
        check_channel_order(self.data_preprocessor, *self.feature_users.values())
        check_generator_features(self.structure_loss, *self.generators.values())
        others = list((self.discriminators or {}).values())
        others += [loss.feature_net for loss in losses if loss.feature_net is not None]
        accelerate(self, others, channels_last, compile, with_cp)
        if compile is not False and self.adversaries is not None:
            self.adversaries.check_compiled()
        self._channels_last = channels_last
        self._register_state_dict_hook(drop_wrapper_names)
        self.register_load_state_dict_pre_hook(check_weights)

    def init_weights(self) -> None:
        """Initialise the networks, and read the losses' feature weights before hours are spent."""
        super().init_weights()
        for name, network in (unwrapped(self.discriminators) or {}).items():
            if name not in self.domains:  # of more discriminators, which MMagic does not know
                network.init_weights()
        for user in self.feature_users.values():
            user.init_weights()
        if self._channels_last:  # what was read, too
            self.to(memory_format=torch.channels_last)

    @property
    def image_losses(self) -> dict[str, StructureLoss]:
        """Losses between source and translation, by their settings and without wrappers."""
        beside: Any = self.more_losses
        losses = {'structure_loss': unwrapped(self.structure_loss)}
        losses |= {f'more_losses.{name}': loss for name, loss in beside.items()}
        return {name: loss for name, loss in losses.items() if loss is not None}

    @property
    def feature_users(self) -> dict[str, Any]:
        """What looks through networks whose weights come from elsewhere, by its setting."""
        users: dict[str, Any] = dict(self.image_losses)
        for key, network in (unwrapped(self.discriminators) or {}).items():
            if isinstance(network, ProjectedDiscriminator):
                name = key.partition(':')[2]
                users[f'more_discriminators.{name}' if name else 'discriminator'] = network
        return users

    def update_average(self) -> None:
        """After an update of the generators: their moving average follows, if there is one."""
        if self.generator_ema is not None:
            self.generator_ema.update_parameters(unwrapped(self.generators))

    @property
    def inference_generators(self) -> Any:
        """What translates, by target domain: moving averages where there are some."""
        if self.generator_ema is None:
            return unwrapped(self.generators)
        return self.generator_ema.module

    def check_target(self, target: str | None) -> str:
        """The domain to translate into, the default where none is named.

        Raises:
            ValueError: If the model does not translate into it.
        """
        if target is None:
            return next(iter(self.domains))
        if target not in self.domains:
            raise ValueError(f"The model translates into {list(self.domains)}, not '{target}'.")
        return target

    def check_styled(self) -> None:
        """Raise ``ValueError`` unless a source has many translations, one for every style."""
        if not self.style_channels:
            raise ValueError(f'{type(self).__name__} has no styles: a source has one translation.')

    def translate(
        self, images: Tensor, target: str | None = None, styles: Tensor | None = None
    ) -> Tensor:
        """Translate images of any size, by the moving average, in eval mode, without gradients.

        Args:
            images (Tensor): Source images, shape (B, 3, H, W), values in [-1, 1].
            target (str, optional): Domain to translate into. Defaults to the first of
                ``domains``.
            styles (Tensor, optional): Shape (N, S), the same for all images, or (B, N, S).
                Defaults to None: one translation, of a style that the model's seed fixes where
                it has styles.

        Returns:
            Tensor: Shape (B, 3, H, W) or, with styles, (B, N, 3, H, W), values in [-1, 1].

        Raises:
            ValueError: If the model does not translate into the domain, or has no styles or
                others than these.
        """
        translated = torch.cat(list(self.translations(images, target, styles)), dim=1)
        return translated[:, 0] if styles is None else translated

    @torch.no_grad()
    def translations(
        self, images: Tensor, target: str | None = None, styles: Tensor | None = None
    ) -> Iterator[Tensor]:
        """As :meth:`translate`, a few styles after the other, so that memory does not grow.

        Yields:
            Tensor: Shape (B, n, 3, H, W), of the next n styles; without styles one of n = 1.
        """
        target = self.check_target(target)
        if styles is not None:
            self.check_styled()
        height, width = images.shape[2:]
        padded = self.pad(images)
        for part in self._translate_padded(padded, target, styles):
            yield part[..., :height, :width]

    def pad(self, images: Tensor) -> Tensor:
        """Images as the generators take them, grown at the bottom and right."""
        return pad_to_multiple(images, self.size_divisor, self.smallest_side)

    def _translate_padded(
        self, images: Tensor, target: str, styles: Tensor | None
    ) -> Iterator[Tensor]:
        with self.inference_mode(self.inference_generators[target]) as generator:
            translated = generator(images)
        yield translated[:, None]

    @contextmanager
    def inference_mode(self, network: nn.Module) -> Iterator[Any]:
        """A network in eval mode; the modes of its modules are put back."""
        modes = {module: module.training for module in network.modules()}
        network.eval()
        try:
            yield network
        finally:
            for module, training in modes.items():
                module.training = training

    # ------------------------------------------------------ as MMagic calls it

    def forward_test(self, img: Tensor, target_domain: str | None = None) -> dict[str, Tensor]:
        """:meth:`translate` under the name and with the result that MMagic's tools know."""
        return dict(source=img, target=self.translate(img, target_domain))

    @torch.no_grad()
    def test_step(self, data: dict) -> list[DataSample]:
        """Translate a batch; images of a domain that is not translated are not needed.

        Pictures of several sizes go through the model size by size: each translation is that of
        its picture alone. Pictures that stand in an earlier sample of the test set are not
        translated again (see :func:`~sesim_mmagic.utils.samples.is_repeated`).

        Args:
            data (dict): A batch: ``inputs`` with ``img_{domain}`` of the sources,
                ``data_samples``.

        Returns:
            list[DataSample]: The samples with ``fake_{domain}`` added for each domain translated
            into: shape (3, H, W), BGR, values in [0, 255]; with several styles also
            ``fakes_{domain}``, shape (N, 3, H, W).
        """
        outputs: dict[int, DataSample] = {}
        for numbers in equal_sizes(data['inputs']):
            outputs.update(
                zip(numbers, self._translate_samples(part_of(data, numbers)), strict=True)
            )
        return [outputs[number] for number in sorted(outputs)]

    val_step = test_step

    def _translate_samples(self, data: dict) -> list[DataSample]:
        """Translate a batch of pictures of one size."""
        data = self.data_preprocessor(data)
        samples = data['data_samples'].split()
        outputs = []
        for sample in samples:
            outputs.append(DataSample())
            outputs[-1].update(sample)
        for target, source in self.domains.items():
            source_key = f'img_{source}'
            if source_key not in data['inputs'] and len(self.domains) > 1:
                continue
            chosen = [i for i, sample in enumerate(samples) if not is_repeated(sample, source)]
            if not chosen:
                continue
            images = data['inputs'][source_key]
            images = images if len(chosen) == len(samples) else images[chosen]
            translated = self._test_outputs(images, target, [samples[i] for i in chosen])
            for name, batch in translated.items():
                for i, image in zip(chosen, batch, strict=True):
                    picture = self._as_picture(image, samples[i], source_key)
                    outputs[i].set_tensor_data({name: picture})
        return outputs

    def _test_outputs(
        self, images: Tensor, target: str, samples: Sequence[DataSample]
    ) -> dict[str, Tensor]:
        """Translations of source images by the name they leave under, shapes (B, ..., 3, H, W)."""
        return {f'fake_{target}': self.translate(images, target)}

    def _as_picture(self, image: Tensor, sample: DataSample, source_key: str) -> Tensor:
        """Values in [0, 255], BGR; the source's channel order and padding are inherited."""
        if image.dim() > 3:
            return torch.stack([self._as_picture(i, sample, source_key) for i in image])
        return self.data_preprocessor.destruct(image, sample, source_key)


def equal_sizes(inputs: dict[str, Sequence[Tensor]]) -> list[list[int]]:
    """Numbers of the samples whose pictures have the same sizes, in the order of the batch."""
    groups: dict[tuple, list[int]] = {}
    for number, images in enumerate(zip(*inputs.values(), strict=True)):
        groups.setdefault(tuple(image.shape for image in images), []).append(number)
    return list(groups.values())


def part_of(data: dict, numbers: Sequence[int]) -> dict:
    """The samples of these numbers of a batch; the batch itself where they are all of it."""
    inputs, samples = data['inputs'], data['data_samples']
    if len(numbers) == len(samples):
        return data
    return dict(
        inputs={key: [images[i] for i in numbers] for key, images in inputs.items()},
        data_samples=[samples[i] for i in numbers],
    )
