"""What the translators of this package share."""

from mmagic.models.base_models import BaseTranslationModel
from mmengine.model import ExponentialMovingAverage
from torch import Tensor

from sesim_mmagic.registry import MODELS
from sesim_mmagic.utils.checks import check_ints, check_texts

from .acceleration import accelerate
from .checks import (
    check_average,
    check_channel_order,
    check_generator_features,
    check_training_batch,
    check_weights,
)
from .domain_networks import DomainNetworks, drop_wrapper_names, unwrapped
from .one_channel import adapt_channels
from .structure_step import training_keys
from .translator import Translator


class DomainTranslator(Translator, BaseTranslationModel):
    """Two domains, a generator and a discriminator for each that is translated into, losses.

    A subclass says how it trains (``train_step``).

    Args:
        generator (dict): Config of the generators.
        discriminator (dict, optional): Config of the discriminators; None for inference only.
        source_domain (str): Name of the source; its images come as ``img_{source_domain}``.
        target_domain (str): Name of the target; translations leave as ``fake_{target_domain}``.
        two_sided (bool): Whether the target is translated into the source as well.
        data_preprocessor (dict): Config of MMagic's ``DataPreprocessor``.
        gan_loss (dict, optional): Config of the GAN loss. Defaults to None: LSGAN.
        image_losses (dict[str, dict | None]): Configs of the losses that look at images, by the
            attribute that holds them; ``structure_loss`` is one of them.
        size_divisor (int): The generators need sides that are multiples of this; at test time
            images are padded and their translations cropped.

    Raises:
        ValueError: If the settings do not fit together.
    """

    def __init__(
        self,
        generator: dict,
        discriminator: dict | None,
        source_domain: str,
        target_domain: str,
        two_sided: bool,
        data_preprocessor: dict,
        gan_loss: dict | None,
        image_losses: dict[str, dict | None],
        size_divisor: int,
    ) -> None:
        check_texts(self, source_domain=source_domain, target_domain=target_domain)
        check_ints(self, 1, size_divisor=size_divisor)
        if source_domain == target_domain:
            raise ValueError(f'source_domain and target_domain are both {source_domain!r}')
        domains = {target_domain: source_domain}
        if two_sided:
            domains[source_domain] = target_domain
        super().__init__(
            generator,
            discriminator,
            default_domain=target_domain,
            reachable_domains=list(domains),
            related_domains=[target_domain, source_domain],
            # Unless told otherwise, the samples' pictures are converted back with the inputs.
            data_preprocessor={
                'data_keys': [f'img_{source_domain}', f'img_{target_domain}'],
                **data_preprocessor,
            },
        )
        self.source_domain = source_domain
        self.target_domain = target_domain
        self.domains = domains
        self.size_divisor = size_divisor
        # Two positions a side: a generator reflects its smallest map too.
        self.smallest_side = 2 * size_divisor if size_divisor > 1 else 1
        self.generators = DomainNetworks(self.generators)
        if discriminator is not None:
            self.discriminators = DomainNetworks(self.discriminators)
        self.gan_loss = MODELS.build(gan_loss or dict(type='GANLoss', gan_type='lsgan'))
        self._image_losses = tuple(image_losses)
        for name, config in image_losses.items():
            setattr(self, name, MODELS.build(config) if config else None)
        self.generator_ema = None

    def _finish(self, ema: dict | None, channels_last: bool, compile: bool | dict) -> None:
        """The end of a subclass's construction: what needs all networks to be there.

        Args:
            ema (dict, optional): Arguments of MMEngine's ``ExponentialMovingAverage`` of the
                generators.
            channels_last (bool): See :func:`accelerate`.
            compile (bool | dict): See :func:`accelerate`.
        """
        self.grey_domains = adapt_channels(self)  # before the average is copied
        if ema is not None:
            check_average(self, ema)
            self.generator_ema = ExponentialMovingAverage(self.generators, **ema)
        losses = [getattr(self, name) for name in self._image_losses]
        check_channel_order(self.data_preprocessor, *losses)
        check_generator_features(self.structure_loss, *self.generators.values())
        accelerate(self, channels_last, compile)
        self._register_state_dict_hook(drop_wrapper_names)
        self.register_load_state_dict_pre_hook(check_weights)

    def init_weights(self) -> None:
        """Initialise the networks, and read the losses' feature weights before hours are spent."""
        super().init_weights()
        for name in self._image_losses:
            if getattr(self, name) is not None:
                unwrapped(getattr(self, name)).init_weights()

    def _training_inputs(self, data: dict) -> list[Tensor]:
        """Source, target and, where a loss wants them, views of both; each (B, 3, H, W)."""
        domains = self.source_domain, self.target_domain
        keys = training_keys(self.structure_loss, domains)
        check_training_batch(data, keys)
        inputs = self.data_preprocessor(data, True)['inputs']
        return [inputs[key] for key in keys]
