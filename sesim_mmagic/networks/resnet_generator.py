"""Encoder, residual blocks and decoder: the generator of single-modal translation."""

from collections.abc import Sequence

from torch import Tensor, nn

from sesim_mmagic.registry import MODELS
from sesim_mmagic.utils.checks import check_ints

from .layer_outputs import LayeredGenerator, run_layers
from .layers import BlurDownsample, BlurUpsample, InstanceNorm

# Xavier initialisation with a small gain, as CUT and the paper train with.
XAVIER = dict(type='Xavier', layer='Conv2d', gain=0.02, distribution='normal')


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with instance norm around an identity; (B, C, H, W) both ways."""

    def __init__(self, channels: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            InstanceNorm(),
            nn.ReLU(inplace=True),
            *([nn.Dropout(dropout)] if dropout else []),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            InstanceNorm(),
        )

    def forward(self, features: Tensor) -> Tensor:
        return features + self.conv_block(features)


@MODELS.register_module()
class ResNetBlurGenerator(LayeredGenerator):
    """ResNet generator (Johnson et al., ECCV 2016) with blur-pooled resampling, as CUT's.

    The layers are numbered as in the authors' published checkpoints, whose tensors load by
    name (without their constant blur kernels).

    Args:
        in_channels (int): Channels of the source image. Defaults to 3.
        out_channels (int): Channels of the translation. Defaults to 3.
        base_channels (int): Width of the first layer; doubled by each down sampling.
            Defaults to 64.
        num_blocks (int): Number of residual blocks. Defaults to 9.
        num_downsamplings (int): Number of halvings before and doublings after the blocks.
            Defaults to 2.
        dropout (float): Dropout probability in the residual blocks. Defaults to 0.
        init_cfg (dict, optional): MMEngine initialisation. Defaults to Xavier, gain 0.02.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        base_channels: int = 64,
        num_blocks: int = 9,
        num_downsamplings: int = 2,
        dropout: float = 0.0,
        init_cfg: dict | list | None = XAVIER,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.in_channels = in_channels
        check_ints(self, 1, in_channels=in_channels, out_channels=out_channels)
        check_ints(self, 1, base_channels=base_channels)
        check_ints(self, 0, num_blocks=num_blocks, num_downsamplings=num_downsamplings)
        width = base_channels
        layers = [nn.ReflectionPad2d(3), *_conv_norm_relu(in_channels, width, 7, padding=0)]
        for _ in range(num_downsamplings):
            layers += [*_conv_norm_relu(width, 2 * width), BlurDownsample()]
            width *= 2
        layers += [ResidualBlock(width, dropout) for _ in range(num_blocks)]
        for _ in range(num_downsamplings):
            layers += [BlurUpsample(), *_conv_norm_relu(width, width // 2)]
            width //= 2
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, out_channels, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    @property
    def encoding_layers(self) -> nn.Sequential:
        """All layers. With two down samplings 0 is the padded image, 4 and 8 are the convolutions
        before down samplings, the residual blocks begin with 12.
        """
        return self.model

    def forward(
        self, images: Tensor, layers: Sequence[int] = ()
    ) -> Tensor | tuple[Tensor, list[Tensor]]:
        """Translate images.

        Args:
            images (Tensor): Shape (B, in_channels, H, W), values in [-1, 1], sides multiples
                of ``2^num_downsamplings``.
            layers (Sequence[int]): Layers whose outputs are wanted as well.

        Returns:
            Tensor | tuple[Tensor, list[Tensor]]: Shape (B, out_channels, H, W), values in
            [-1, 1]; with ``layers`` also what :meth:`encode` gives.
        """
        if not layers:
            return self.model(images)
        return run_layers(self.model, images, layers)


def _conv_norm_relu(in_channels: int, out_channels: int, kernel: int = 3, padding: int = 1) -> list:
    return [
        nn.Conv2d(in_channels, out_channels, kernel, padding=padding),
        InstanceNorm(),
        nn.ReLU(inplace=True),
    ]
