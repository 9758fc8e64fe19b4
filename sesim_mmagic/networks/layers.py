"""Blur-pooled resampling (R. Zhang, ICML 2019: shift-invariant convolutional networks)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def blur_kernel(taps: Sequence[float]) -> Tensor:
    """Separable blur of the given taps as a (k, k) kernel that sums to 1."""
    row = torch.tensor(taps, dtype=torch.float32)
    kernel = torch.outer(row, row)
    return kernel / kernel.sum()


class BlurDownsample(nn.Module):
    """Halve a map after blurring it, so that it shifts with its input.

    (B, C, H, W) -> (B, C, ceil(H / 2), ceil(W / 2)); taps [1, 2, 1], reflected borders.
    """

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer('kernel', blur_kernel((1, 2, 1))[None, None], persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        channels = features.shape[1]
        padded = F.pad(features, (1, 1, 1, 1), mode='reflect')
        kernel = self.kernel.to(features.dtype).expand(channels, -1, -1, -1)
        return F.conv2d(padded, kernel, stride=2, groups=channels)


class BlurUpsample(nn.Module):
    """Double a map and blur it.

    (B, C, H, W) -> (B, C, 2 H, 2 W); taps [1, 3, 3, 1], replicated borders. Zeros between the
    positions, blurred by these taps, are bilinear interpolation between the centres of pixels.
    """

    def forward(self, features: Tensor) -> Tensor:
        return F.interpolate(features, scale_factor=2, mode='bilinear', align_corners=False)


class InstanceNorm(nn.Module):
    """Instance norm without parameters (Ulyanov et al., 2016); any (B, C, H, W) both ways.

    PyTorch's rearranges the batch into channels, which costs a copy in channels-last memory and
    another one where the result is changed in place. A batch of one image, the rule in unpaired
    translation, needs none of that: there it is batch norm. So it is in inference, image by image.
    """

    def forward(self, features: Tensor) -> Tensor:
        if len(features) == 1:
            return F.batch_norm(features, None, None, training=True)
        is_channels_last = features.is_contiguous(memory_format=torch.channels_last)
        if is_channels_last and not torch.is_grad_enabled():
            images = features.split(1)
            return torch.cat([F.batch_norm(image, None, None, training=True) for image in images])
        return F.instance_norm(features)
