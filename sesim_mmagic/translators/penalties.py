"""Penalties on the gradient of a discriminator."""

from collections.abc import Callable

import torch
from mmagic.models.losses import gradient_penalty_loss
from mmagic.models.losses.gan_loss import r1_gradient_penalty_loss
from torch import Tensor


def discriminator_penalties(
    discriminate: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    gradient_penalty_weight: float = 0.0,
    r1_weight: float = 0.0,
) -> dict[str, Tensor]:
    """Those of the two penalties whose weight is not 0, weighted.

    They are computed in full precision: squares of gradients do not fit into float16, and the
    gradients themselves are not scaled by AMP, which scales losses.

    Args:
        discriminate (Callable): Images to scores.
        real (Tensor): Real images, shape (B, 3, H, W).
        fake (Tensor): Translations of the same shape; not differentiated.
        gradient_penalty_weight (float): Weight of the squared distance of the norm from 1, at
            random mixtures of real and fake images (Gulrajani et al., NeurIPS 2017, Eq. 3).
        r1_weight (float): Weight of half the squared norm at real images (Mescheder et al., ICML
            2018, Eq. 9).

    Returns:
        dict[str, Tensor]: Scalars ``loss_gradient_penalty`` and ``loss_r1``.
    """
    losses = {}
    with torch.autocast(real.device.type, enabled=False):
        if gradient_penalty_weight:
            fake = fake.detach().to(real.dtype)
            penalty = gradient_penalty_loss(discriminate, real, fake, norm_mode='HWC')
            losses['loss_gradient_penalty'] = gradient_penalty_weight * penalty
        if r1_weight:
            penalty = r1_gradient_penalty_loss(discriminate, real, norm_mode='HWC')
            losses['loss_r1'] = 0.5 * r1_weight * penalty
    return losses
