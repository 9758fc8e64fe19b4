"""StyleGAN2's layers (Karras et al., CVPR 2020) as encoder-decoder and as discriminator.

The networks of single-image translation (CUT, Park et al., ECCV 2020, Sec. 4.4; Zheng et al.,
CVPR 2021). There is no style code, and no normalisation that looks at more than a neighbourhood:
only convolutions with equalised learning rates. Everything is plain PyTorch: a blur is a depthwise
convolution, and a gain is multiplied into the few weights rather than into the many activations.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from sesim_mmagic.registry import MODELS

from .layer_outputs import channels_of, run_layers
from .layers import blur_kernel

TAPS = (1, 3, 3, 1)
SLOPE = 0.2
#: Gain of an activation; it keeps the variance of what passes through.
ACTIVATION_GAIN = math.sqrt(2)


class Blur(nn.Module):
    """Blur with the taps [1, 3, 3, 1] behind a border of zeros, maybe keeping every other position.

    (B, C, H, W) -> (B, C, (H + 2 padding - 4) // stride + 1, ... likewise W).
    """

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

    The weights of an output channel are normalised (StyleGAN2's demodulation with the style 1).
    Noise is drawn anew in training. At test time it is the same for every picture of a size, drawn
    on the CPU with a fixed seed, so that a picture has one translation.
    """

    def __init__(self, in_channels: int, out_channels: int, noise: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.noise_weight = nn.Parameter(torch.zeros(1)) if noise else None
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.blur = Blur(padding=1)
        self.scale = 1 / math.sqrt(in_channels * 9)

    def forward(self, features: Tensor) -> Tensor:
        weight = self.scale * self.weight
        norm = (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).rsqrt()
        # Times 4: of four positions the transposed convolution leaves three empty.
        weight = 4 * ACTIVATION_GAIN * norm * weight
        features = F.conv_transpose2d(features, weight.transpose(0, 1), stride=2)
        features = self.blur(features, ACTIVATION_GAIN * self.bias)
        if self.noise_weight is not None:
            features.add_(ACTIVATION_GAIN * self.noise_weight * self._noise(features))
        return F.leaky_relu_(features, SLOPE)

    def _noise(self, features: Tensor) -> Tensor:
        batch, _, height, width = features.shape
        if self.training:
            return torch.randn(batch, 1, height, width, device=features.device)
        fixed = torch.Generator().manual_seed(0)
        return torch.randn(1, 1, height, width, generator=fixed).to(features)


@MODELS.register_module()
class StyleGAN2Generator(BaseModule):
    """Encoder-decoder of StyleGAN2's residual blocks; translates images of any size.

    A pixel of the translation depends on a neighbourhood of the source alone: crops and whole
    pictures are translated alike. The tensors are those of CUT's and F-LSeSim's
    ``latest_net_G.pth`` of single-image models, in their order.

    Args:
        in_channels (int): Channels of the source image. Defaults to 3.
        out_channels (int): Channels of the translation. Defaults to 3.
        base_channels (int): Width at full resolution; doubled by each down sampling up to 512.
            Defaults to 32: what the authors' option ``ngf=8`` gives for crops of 128 pixels.
        num_blocks (int): Residual blocks at the lowest resolution, one half of them (rounded
            down) in the encoder and as many in the decoder. Defaults to 6.
        num_downsamplings (int): Number of halvings and doublings. Defaults to 2.
        noise (bool): Whether the decoder adds noise. Defaults to True.
        init_cfg (dict, optional): MMEngine initialisation. Defaults to None: weights have unit
            variance as made.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        base_channels: int = 32,
        num_blocks: int = 6,
        num_downsamplings: int = 2,
        noise: bool = True,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if (
            min(in_channels, out_channels, base_channels) < 1
            or min(num_blocks, num_downsamplings) < 0
        ):
            raise ValueError(
                'StyleGAN2Generator: channels must be positive and num_blocks, num_downsamplings '
                f'not negative; got {in_channels}, {out_channels}, {base_channels}, {num_blocks}, '
                f'{num_downsamplings}'
            )
        widths = [min(512, base_channels * 2**i) for i in range(num_downsamplings + 1)]
        low = widths[-1]
        blocks = num_blocks // 2
        self._channels = (in_channels, *widths, *[low] * blocks)
        self.encoder = nn.Sequential(
            nn.Identity(),  # the image itself is a layer that a loss may look at
            EqualizedConv(in_channels, widths[0], 1),
            *(ResidualBlock(*pair, halve=True) for pair in zip(widths, widths[1:], strict=False)),
            *(ResidualBlock(low, low) for _ in range(blocks)),
        )
        self.decoder = nn.Sequential(
            *(ResidualBlock(low, low) for _ in range(blocks)),
            *(
                UpsampleConv(wide, narrow, noise)
                for wide, narrow in zip(widths[::-1], widths[-2::-1], strict=False)
            ),
            EqualizedConv(widths[0], out_channels, 1),
        )

    def forward(
        self, images: Tensor, layers: Sequence[int] = ()
    ) -> Tensor | tuple[Tensor, list[Tensor]]:
        """Translate images.

        Args:
            images (Tensor): Shape (B, in_channels, H, W), values in [-1, 1], sides multiples
                of ``2^num_downsamplings``.
            layers (Sequence[int]): Layers of the encoder whose outputs are wanted as well.

        Returns:
            Tensor | tuple[Tensor, list[Tensor]]: Shape (B, out_channels, H, W), values in
            [-1, 1]; with ``layers`` also what :meth:`encode` gives.
        """
        features, wanted = run_layers(self.encoder, images, layers)
        translated = self.decoder(features).tanh()
        return (translated, wanted) if layers else translated

    def encode(self, images: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """Outputs of some layers, without computing what comes after them.

        Args:
            images (Tensor): As for :meth:`forward`.
            layers (Sequence[int]): Numbers of the encoder's layers, ascending: 0 is the image, 1
                the first convolution, then come the blocks that halve and those that do not.

        Returns:
            list[Tensor]: One map (B, C, h, w) a layer, C as :meth:`feature_channels` says.
        """
        return run_layers(self.encoder[: layers[-1] + 1], images, layers)[1]

    def feature_channels(self, layers: Sequence[int]) -> tuple[int, ...]:
        """Channels of the outputs of some layers.

        Raises:
            ValueError: If the numbers are not ascending, or not those of layers.
        """
        return channels_of(self._channels, layers)


@MODELS.register_module()
class StyleGAN2Discriminator(BaseModule):
    """Residual discriminator that judges a whole crop; differentiable twice.

    The tensors are those of CUT's and F-LSeSim's ``latest_net_D.pth`` of single-image models, in
    their order. There is no minibatch statistic: a score depends on its own image.

    Args:
        size (int): Side of the crops in pixels, a power of 2, at least 8. Defaults to 128.
        in_channels (int): Channels of the judged image. Defaults to 3.
        base_channels (int): Width at full resolution; doubled by each halving up to 384.
            Defaults to 16: what the authors' option ``ndf=8`` gives for crops of 128 pixels.
        init_cfg (dict, optional): MMEngine initialisation. Defaults to None: weights have unit
            variance as made.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        size: int = 128,
        in_channels: int = 3,
        base_channels: int = 16,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if size < 8 or size & (size - 1) or min(in_channels, base_channels) < 1:
            raise ValueError(
                'StyleGAN2Discriminator: size must be a power of 2, at least 8, and channels '
                f'positive; got {size}, {in_channels}, {base_channels}'
            )
        self.size = size
        halvings = size.bit_length() - 4  # down to 8 pixels
        widths = [min(384, base_channels * 2**i) for i in range(halvings + 2)]
        self.convs = nn.Sequential(
            EqualizedConv(in_channels, widths[0], 1),
            *(ResidualBlock(*pair, halve=True) for pair in zip(widths, widths[1:-1], strict=False)),
            EqualizedConv(widths[-2], widths[-1], 3),
        )
        self.linear = nn.Sequential(
            EqualizedLinear(widths[-1] * 8 * 8, widths[-1], activate=True),
            EqualizedLinear(widths[-1], 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Judge crops.

        Args:
            images (Tensor): Shape (B, in_channels, size, size), values in [-1, 1].

        Returns:
            Tensor: Unbounded scores, one a crop, shape (B, 1).

        Raises:
            ValueError: If the crops have another size.
        """
        if images.shape[2:] != (self.size, self.size):
            raise ValueError(
                f'StyleGAN2Discriminator judges crops of {self.size} x {self.size} pixels, got '
                f'{images.shape[2]} x {images.shape[3]}: set discriminator.size to the crop_size '
                'of the training data'
            )
        return self.linear(self.convs(images).flatten(1))
