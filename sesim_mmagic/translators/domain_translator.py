"""What the translators of this package share."""

from mmagic.models.base_models import BaseTranslationModel
from torch import Tensor

from sesim_mmagic.registry import MODELS
from sesim_mmagic.utils.checks import check_ints, check_texts

from .adversary import Adversaries
from .checks import check_training_batch
from .domain_networks import DomainNetworks
from .structure import MoreLosses, build_structure_loss
from .translator import Translator


class DomainTranslator(Translator, BaseTranslationModel):
    """Two domains, a generator and a discriminator for each that is translated into, losses.

    A subclass says how it trains (``train_step``).

    Args:
        generator (dict): Config of the generators, (B, 3, H, W) to (B, 3, H, W), both in [-1, 1].
        discriminator (dict, optional): Config of the discriminators; None for inference only.
        source_domain (str): Name of the source; its images come as ``img_{source_domain}``.
        target_domain (str): Name of the target; translations leave as ``fake_{target_domain}``.
        data_preprocessor (dict): Config of MMagic's ``DataPreprocessor``.
        two_sided (bool): Whether the target is translated into the source as well.
        gan_loss (dict, optional): Config of the GAN loss. MMagic's ``GANLoss`` with
            ``gan_type`` 'lsgan', 'hinge' or 'vanilla'; the last is the non-saturating
            logistic loss. Defaults to None: LSGAN.
        augmentation (dict, optional): Arguments of
            :func:`~sesim_mmagic.functional.augment` for all that ``discriminator`` sees.
            Defaults to None: it sees images as they are.
        gradient_penalty_weight (float): Weight of the gradient penalty of ``discriminator``
            towards norm 1 on mixed samples (Gulrajani et al., NeurIPS 2017). Defaults to 0.
        r1_weight (float): Weight of its R1 penalty on real images (Mescheder et al., ICML 2018),
            as in SinCUT. Defaults to 0.
        more_discriminators (dict, optional): Others beside ``discriminator`` by a name, which ends
            the names of their losses. Each is a dictionary of ``network`` (config), ``weight`` of
            its loss for the generators (default 1), ``gan_loss`` (default hinge),
            ``augmentation``, ``gradient_penalty_weight`` and ``r1_weight``; None leaves out one
            of a base config. They have the optimizer of ``discriminators``. Defaults to None.
        structure_loss (dict, optional): Config of a structure loss. Defaults to None.
        more_losses (dict, optional): Configs of others beside it by a name, see
            :class:`~sesim_mmagic.translators.structure.MoreLosses`. Defaults to None.
        ema (dict, optional): Arguments of MMEngine's ``ExponentialMovingAverage`` of the
            generators (``momentum``, ``interval``), which then translates. Defaults to None.
        size_divisor (int): The generators need sides that are multiples of this; at test time
            images are padded and their translations cropped. Defaults to 4.
        channels_last (bool): Keep the networks in channels-last memory format.
            Defaults to False.
        compile (bool | dict): Compile the networks; a dictionary holds arguments of
            ``torch.compile``. Defaults to False.
        with_cp (bool): Compute the networks' maps again in the backward pass, in place of keeping
            them: the same gradients in less memory (activation checkpointing).
            Excludes ``compile``. Defaults to False.

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
        two_sided: bool,
        gan_loss: dict | None = None,
        augmentation: dict | None = None,
        gradient_penalty_weight: float = 0.0,
        r1_weight: float = 0.0,
        more_discriminators: dict | None = None,
        structure_loss: dict | None = None,
        more_losses: dict | None = None,
        ema: dict | None = None,
        size_divisor: int = 4,
        channels_last: bool = False,
        compile: bool | dict = False,
        with_cp: bool = False,
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
        self.adversaries = Adversaries(
            self,
            self.discriminators,
            self.gan_loss,
            augmentation,
            dict(gradient_penalty_weight=gradient_penalty_weight, r1_weight=r1_weight),
            more_discriminators,
        )
        owner = type(self).__name__
        self.structure_loss = build_structure_loss(f'{owner}.structure_loss', structure_loss)
        self.more_losses = MoreLosses(owner, more_losses)
        self._finish(ema, channels_last, compile, with_cp)

    def _training_images(self, data: dict) -> tuple[Tensor, Tensor]:
        """Images of source and target domain, each (B, 3, H, W), values in [-1, 1]."""
        keys = [f'img_{self.source_domain}', f'img_{self.target_domain}']
        check_training_batch(data, keys)
        inputs = self.data_preprocessor(data, True)['inputs']
        return inputs[keys[0]], inputs[keys[1]]
