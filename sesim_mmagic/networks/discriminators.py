"""Discriminators that judge patches, not whole images."""

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from sesim_mmagic.registry import MODELS
from sesim_mmagic.utils.checks import check_ints

from .layers import BlurDownsample, InstanceNorm
from .resnet_generator import XAVIER

# Gaussian initialisation, as MUNIT's discriminators have it.
NORMAL = dict(type='Normal', layer='Conv2d', std=0.02)


@MODELS.register_module()
class BlurPatchGAN(BaseModule):
    """PatchGAN (Isola et al., CVPR 2017) whose strides are blur-pooled, as CUT's.

    Three layers judge patches of about 70 x 70 pixels, two layers 34 x 34. The layers are
    numbered as in the authors' published checkpoints.

    Args:
        in_channels (int): Channels of the judged image. Defaults to 3.
        base_channels (int): Width of the first layer; doubled by each layer up to 8 times.
            Defaults to 64.
        num_layers (int): Number of halvings. Defaults to 3.
        init_cfg (dict, optional): MMEngine initialisation. Defaults to Xavier, gain 0.02.

    Raises:
        ValueError: If a number is not positive.
    """

    def __init__(
        self,
        in_channels: int = 3,
        base_channels: int = 64,
        num_layers: int = 3,
        init_cfg: dict | list | None = XAVIER,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        check_ints(self, 1, in_channels=in_channels, base_channels=base_channels)
        check_ints(self, 1, num_layers=num_layers)
        widths = [base_channels * min(2**i, 8) for i in range(num_layers + 1)]
        layers = [nn.Conv2d(in_channels, widths[0], 4, padding=1), nn.LeakyReLU(0.2, inplace=True)]
        for narrow, wide in zip(widths, widths[1:], strict=False):
            layers += [
                BlurDownsample(),
                nn.Conv2d(narrow, wide, 4, padding=1),
                InstanceNorm(),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        layers += [nn.Conv2d(widths[-1], 1, 4, padding=1)]
        self.model = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Judge every patch.

        Args:
            images (Tensor): Shape (B, in_channels, H, W), values in [-1, 1].

        Returns:
            Tensor: Unbounded scores, one per patch, shape (B, 1, h, w).
        """
        return self.model(images)


@MODELS.register_module()
class MultiScaleDiscriminator(BaseModule):
    """PatchGANs of one image at several scales (Wang et al., CVPR 2018), as MUNIT's.

    The coarse ones see most of the image and ask for a sound whole, the fine ones for detail
    (MUNIT, Huang et al., ECCV 2018, Sec. 5.1 and appendix B.2). They share no weights and have
    no norm.

    It returns a list. A GAN loss takes one tensor: sum it over the list, so that each scale weighs
    the same, however many patches it has.

    Args:
        in_channels (int): Channels of the judged image. Defaults to 3.
        base_channels (int): Width of the first layer; doubled by each layer up to 8 times.
            Defaults to 64.
        num_layers (int): Halvings within one scale. Defaults to 4.
        num_scales (int): Number of scales, each half as large as the one before (means of 3 x 3
            positions). Defaults to 3.
        init_cfg (dict, optional): MMEngine initialisation. Defaults to N(0, 0.02).

    Raises:
        ValueError: If a number is not positive.
    """

    def __init__(
        self,
        in_channels: int = 3,
        base_channels: int = 64,
        num_layers: int = 4,
        num_scales: int = 3,
        init_cfg: dict | list | None = NORMAL,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        check_ints(self, 1, in_channels=in_channels, base_channels=base_channels)
        check_ints(self, 1, num_layers=num_layers, num_scales=num_scales)
        #: Smallest side of an image: the coarsest scale's last layer reflects a map of 2 x 2.
        self.min_size = 2 ** (num_layers + num_scales - 1)
        widths = [base_channels * min(2**i, 8) for i in range(num_layers)]
        self.scales = nn.ModuleList(_patch_gan(in_channels, widths) for _ in range(num_scales))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Judge every patch at every scale.

        Args:
            images (Tensor): Shape (B, in_channels, H, W), values in [-1, 1].

        Returns:
            list[Tensor]: Unbounded scores, a map (B, 1, h, w) per scale, from fine to
            coarse; h = H // 2^num_layers for the first, then half of that.

        Raises:
            ValueError: If the images are too small for the coarsest scale.
        """
        if min(images.shape[2:]) < self.min_size:
            raise ValueError(
                f'MultiScaleDiscriminator: {len(self.scales)} scales need images of at least '
                f'{self.min_size} x {self.min_size} pixels, got {images.shape[2]} x '
                f'{images.shape[3]}: lower num_scales or num_layers, or train on larger crops'
            )
        scores = []
        for index, scale in enumerate(self.scales):
            if index:
                images = F.avg_pool2d(images, 3, stride=2, padding=1, count_include_pad=False)
            scores.append(scale(images))
        return scores


def _patch_gan(in_channels: int, widths: list[int]) -> nn.Sequential:
    """A halving 4 x 4 convolution per width, and a score for each position that is left."""
    layers = []
    for width in widths:
        layers += [
            nn.ReflectionPad2d(1),
            nn.Conv2d(in_channels, width, 4, stride=2),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        in_channels = width
    return nn.Sequential(*layers, nn.Conv2d(in_channels, 1, 1))
