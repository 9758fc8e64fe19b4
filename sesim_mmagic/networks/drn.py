"""The segmentation network by which translations of Cityscapes are scored."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sesim_mmagic.registry import MODELS


@MODELS.register_module()
class DRN22(nn.Module):
    """DRN-D-22 for segmentation (Yu et al., "Dilated Residual Networks", CVPR 2017).

    After three halvings the convolutions are dilated instead, and the last two levels have no
    shortcuts. The tensors have the names and shapes of the authors' ``drn_d_22_cityscapes.pth``.

    Args:
        num_classes (int): Number of classes. Defaults to 19, those of Cityscapes.
    """

    def __init__(self, num_classes: int = 19) -> None:
        super().__init__()
        self.base = nn.Sequential(
            _conv_norm_relu(3, 16, kernel_size=7),
            _conv_norm_relu(16, 16),
            _conv_norm_relu(16, 32, stride=2),
            _level(32, 64, stride=2),
            _level(64, 128, stride=2),
            _level(128, 256, dilation=2),
            _level(256, 512, dilation=4),
            _conv_norm_relu(512, 512, dilation=2),
            _conv_norm_relu(512, 512),
        )
        self.seg = nn.Conv2d(512, num_classes, 1)
        self.up = nn.ConvTranspose2d(
            num_classes, num_classes, 16, stride=8, padding=4, groups=num_classes, bias=False
        )
        taps = 1 - (torch.arange(16) / 8 - 15 / 16).abs()  # bilinear, as the authors' stays
        self.up.weight.data.copy_(torch.outer(taps, taps))

    def forward(self, images: Tensor) -> Tensor:
        """Logits of every pixel.

        Args:
            images (Tensor): Normalized RGB images, shape (B, 3, H, W).

        Returns:
            Tensor: Shape (B, num_classes, H, W), H and W rounded up to multiples of 8.
        """
        return self.up(self.seg(self.base(images)))


class DilatedBlock(nn.Module):
    """Two 3 x 3 convolutions with batch norm beside a shortcut."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = _conv(in_channels, out_channels, 3, stride, dilation)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = _conv(out_channels, out_channels, 3, 1, dilation)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample = None
        if in_channels != out_channels:
            self.downsample = nn.Sequential(
                _conv(in_channels, out_channels, 1, stride, 1), nn.BatchNorm2d(out_channels)
            )

    def forward(self, features: Tensor) -> Tensor:
        hidden = F.relu(self.bn1(self.conv1(features)))
        shortcut = features if self.downsample is None else self.downsample(features)
        return F.relu(self.bn2(self.conv2(hidden)) + shortcut)


def _conv(
    in_channels: int, out_channels: int, kernel_size: int, stride: int, dilation: int
) -> nn.Conv2d:
    padding = dilation * (kernel_size // 2)
    return nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, dilation, bias=False)


def _conv_norm_relu(
    in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1, dilation: int = 1
) -> nn.Sequential:
    conv = _conv(in_channels, out_channels, kernel_size, stride, dilation)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


def _level(
    in_channels: int, out_channels: int, stride: int = 1, dilation: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        DilatedBlock(in_channels, out_channels, stride, dilation),
        DilatedBlock(out_channels, out_channels, 1, dilation),
    )
