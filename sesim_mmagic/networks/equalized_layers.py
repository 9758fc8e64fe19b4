"""Layers of StyleGAN2 (Karras et al., CVPR 2020) in plain PyTorch, written for speed.

Learning rates are equalised: weights have unit variance and are scaled where they are used. A blur
is a depthwise convolution, and a gain is multiplied into the few weights rather than into the many
activations.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import blur_kernel

TAPS = (1, 3, 3, 1)
SLOPE = 0.2
#: Gain of an activation; it keeps the variance of what passes through.
ACTIVATION_GAIN = math.sqrt(2)


class Blur(nn.Module):
    """Blur with the taps [1, 3, 3, 1] behind a border of zeros, maybe keeping every other position.

    (B, C, H, W) -> (B, C, (H + 2 padding - 4) // stride + 1, ... likewise W).
    """

    kernel: Tensor

    def __init__(self, padding: int, stride: int = 1) -> None:
        super().__init__()
        self.padding = padding
        self.stride = stride
        self.register_buffer('kernel', blur_kernel(TAPS)[None, None], persistent=False)

    def forward(self, features: Tensor, bias: Tensor | None = None) -> Tensor:
        channels = features.shape[1]
        kernel = self.kernel.to(features.dtype).expand(channels, -1, -1, -1)
        return F.conv2d(features, kernel, bias, self.stride, self.padding, groups=channels)


class EqualizedConv(nn.Module):
    """Convolution with an equalised learning rate, leaky ReLU; blurred first if it halves.

    Weights have unit variance and are divided by the square root of their number at run time
    (Karras et al., ICLR 2018, Sec. 4.1). (B, in_channels, H, W) -> (B, out_channels, H, W), or half
    of H and W.

    Args:
        kernel_size (int): 1 or 3.
        halve (bool): Whether to halve the map. Defaults to False.
        activate (bool): Whether bias and activation follow. Defaults to True.
        gain (float): Factor on the output. Defaults to 1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        halve: bool = False,
        activate: bool = True,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.out_channels = out_channels
        # Before a 1 x 1 convolution the blur itself may skip what the stride would drop.
        self.stride = 2 if halve and kernel_size > 1 else 1
        self.blur = None
        if halve:
            self.blur = Blur(padding=(kernel_size + 1) // 2, stride=2 // self.stride)
        self.padding = 0 if halve else kernel_size // 2
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if activate else None
        # A leaky ReLU lets positive factors through, so they can stand before it.
        self.gain = gain * ACTIVATION_GAIN if activate else gain
        self.scale = self.gain / math.sqrt(in_channels * kernel_size**2)

    def forward(self, features: Tensor) -> Tensor:
        if self.blur is not None:
            features = self.blur(features)
        bias = None if self.bias is None else self.gain * self.bias
        features = F.conv2d(
            features, self.scale * self.weight, bias, stride=self.stride, padding=self.padding
        )
        return features if bias is None else F.leaky_relu_(features, SLOPE)

    def extra_repr(self) -> str:
        return ', '.join(map(str, self.weight.shape))


class EqualizedLinear(nn.Module):
    """Linear layer with an equalised learning rate, maybe a leaky ReLU: (B, C) -> (B, D)."""

    def __init__(self, in_features: int, out_features: int, activate: bool = False) -> None:
        super().__init__()
        self.activate = activate
        self.weight = nn.Parameter(torch.randn(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))
        self.gain = ACTIVATION_GAIN if activate else 1.0
        self.scale = self.gain / math.sqrt(in_features)

    def forward(self, features: Tensor) -> Tensor:
        features = F.linear(features, self.scale * self.weight, self.gain * self.bias)
        return F.leaky_relu_(features, SLOPE) if self.activate else features


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut; the sum keeps the variance of its terms."""

    def __init__(self, in_channels: int, out_channels: int, halve: bool = False) -> None:
        super().__init__()
        self.out_channels = out_channels
        gain = math.sqrt(0.5)
        self.conv1 = EqualizedConv(in_channels, in_channels, 3)
        self.conv2 = EqualizedConv(in_channels, out_channels, 3, halve, gain=gain)
        self.skip = None
        if halve or in_channels != out_channels:
            self.skip = EqualizedConv(
                in_channels, out_channels, 1, halve, activate=False, gain=gain
            )

    def forward(self, features: Tensor) -> Tensor:
        # The shortcut first: a halved one is small, and the input need not outlive conv1.
        if self.skip is not None:
            shortcut = self.skip(features)
            return self.conv2(self.conv1(features)) + shortcut
        return torch.add(self.conv2(self.conv1(features)), features, alpha=math.sqrt(0.5))


class UpsampleConv(nn.Module):
    """Doubling 3 x 3 convolution, blur, noise, leaky ReLU: (B, C, H, W) -> (B, D, 2 H, 2 W).

    The weights of an output channel are normalized (StyleGAN2's demodulation with the style 1).
    Noise is drawn anew in training. At test time it is the same for every picture of a size, drawn
    on the CPU with a fixed seed, so that a picture has one translation.
    """

    def __init__(self, in_channels: int, out_channels: int, noise: bool = True) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.noise_weight = nn.Parameter(torch.zeros(1)) if noise else None
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.blur = Blur(padding=1)
        self.scale = 1 / math.sqrt(in_channels * 9)

    def forward(self, features: Tensor, noise: Tensor | None = None) -> Tensor:
        weight = self.scale * self.weight
        norm = (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).rsqrt()
        # Times 4: of four positions the transposed convolution leaves three empty.
        weight = 4 * ACTIVATION_GAIN * norm * weight
        features = F.conv_transpose2d(features, weight.transpose(0, 1), stride=2)
        features = self.blur(features, ACTIVATION_GAIN * self.bias)
        if self.noise_weight is not None:
            noise = self.draw_noise(features) if noise is None else noise
            features.add_(ACTIVATION_GAIN * self.noise_weight * noise)
        return F.leaky_relu_(features, SLOPE)

    def draw_noise(self, features: Tensor) -> Tensor:
        """Noise for a map (B, C, H, W): (B, 1, H, W) in training, (1, 1, H, W) otherwise."""
        batch, _, height, width = features.shape
        if self.training:
            return torch.randn(batch, 1, height, width, device=features.device)
        fixed = torch.Generator().manual_seed(0)
        return torch.randn(1, 1, height, width, generator=fixed).to(features)
