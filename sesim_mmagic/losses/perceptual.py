"""Perceptual loss: features compared as they are, a baseline."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sesim_mmagic.registry import MODELS
from sesim_mmagic.utils.checks import check_flags

from .feature_loss import FeatureLoss


@MODELS.register_module()
class PerceptualLoss(FeatureLoss):
    """L1 distance between fixed features of source and translation (Johnson et al., ECCV 2016).

    It sees the features that :class:`FSeSimLoss` sees and compares them directly, so that the
    appearance which they hold has to stay too::

        loss = loss_weight * mean over layers of mean |f(source) - f(translated)|

    Args:
        layers (Sequence[str]): Layers of the feature network.
            Defaults to ('relu3_1', 'relu4_1', 'relu4_3').
        loss_weight (float): Factor on the loss. Defaults to 10.
        feature_net (dict): Config of the feature network; ``layers`` is added.
            Defaults to VGG16 with torchvision's ImageNet weights, BGR input.
        domain_invariant (bool): Whether it is MUNIT's domain-invariant loss (X. Huang et al., ECCV
            2018, Sec. 5.1): instance norm takes mean and deviation of each channel, which hold
            much of the domain, off the features, and the difference is squared. Defaults to False.

    >>> network = dict(type='sesim_mmagic.VGG16Features', pretrained=None, seed=0, width=0.125)
    >>> loss = PerceptualLoss(layers=['relu2_2'], feature_net=network)
    >>> source = torch.rand(1, 3, 32, 32) * 2 - 1
    >>> float(loss(source, source)), bool(loss(source, -source) > 0)
    (0.0, True)
    """

    def __init__(
        self,
        layers: Sequence[str] = ('relu3_1', 'relu4_1', 'relu4_3'),
        loss_weight: float = 10.0,
        feature_net: dict | None = None,
        domain_invariant: bool = False,
    ) -> None:
        super().__init__(layers, loss_weight, feature_net)
        check_flags(self, domain_invariant=domain_invariant)
        self.domain_invariant = domain_invariant

    def compare(self, source: list[Tensor], translated: list[Tensor]) -> Tensor:
        """Weighted mean difference of the features, averaged over layers, a scalar."""
        pairs = zip(source, translated, strict=True)
        if self.domain_invariant:
            distances = [F.mse_loss(F.instance_norm(t), F.instance_norm(s)) for s, t in pairs]
        else:
            distances = [F.l1_loss(t, s) for s, t in pairs]
        return self.loss_weight * torch.stack(distances).mean()
