"""Discriminators that judge patches, not whole images."""

from mmengine.model import BaseModule
from torch import Tensor, nn

from sesim_mmagic.registry import MODELS
from sesim_mmagic.utils.checks import check_ints

from .layers import BlurDownsample, InstanceNorm
from .resnet_generator import XAVIER


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
        channels = dict(in_channels=in_channels, base_channels=base_channels)
        check_ints(self, 1, **channels, num_layers=num_layers)
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
            Tensor: Unbounded scores, one a patch, shape (B, 1, h, w).
        """
        return self.model(images)
