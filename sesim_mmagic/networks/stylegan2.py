"""StyleGAN2's blocks (Karras et al., CVPR 2020) as encoder-decoder and as discriminator.

The networks of single-image translation (CUT, Park et al., ECCV 2020, Sec. 4.4; Zheng et al.,
CVPR 2021). There is no style code, and no normalization that looks at more than a neighbourhood:
only convolutions with equalised learning rates.
"""

from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn

from sesim_mmagic.registry import MODELS
from sesim_mmagic.utils.checks import check_ints

from .equalized_layers import EqualizedConv, EqualizedLinear, ResidualBlock, UpsampleConv
from .layer_outputs import LayeredGenerator, run_layers


@MODELS.register_module()
class StyleGAN2Generator(LayeredGenerator):
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
        tanh (bool): Whether a tanh bounds the translation, as in F-LSeSim; CUT's generator ends in
            its last convolution. Files of weights do not tell. Defaults to True.
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
        tanh: bool = True,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        check_ints(self, 1, in_channels=in_channels, out_channels=out_channels)
        check_ints(self, 1, base_channels=base_channels)
        check_ints(self, 0, num_blocks=num_blocks, num_downsamplings=num_downsamplings)
        self.in_channels = in_channels
        widths = [min(512, base_channels * 2**i) for i in range(num_downsamplings + 1)]
        low = widths[-1]
        blocks = num_blocks // 2
        self.tanh = tanh
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

    @property
    def encoding_layers(self) -> nn.Sequential:
        """The encoder: 0 is the image, 1 the first convolution, then come the blocks that halve and
        those that do not.
        """
        return self.encoder

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
            [-1, 1], or about that without ``tanh``; with ``layers`` also what :meth:`encode` gives.
        """
        features, wanted = run_layers(self.encoder, images, layers)
        translated = self.decoder(features)
        if self.tanh:
            translated = translated.tanh()
        return (translated, wanted) if layers else translated


@MODELS.register_module()
class StyleGAN2Discriminator(BaseModule):
    """Residual discriminator that judges a whole crop; differentiable twice.

    The tensors are those of CUT's and F-LSeSim's ``latest_net_D.pth`` of single-image models, in
    their order. There is no minibatch statistic: a score depends on its own image.

    Args:
        size (int): Side of the crops in pixels, a power of 2. Defaults to 128.
        in_channels (int): Channels of the judged image. Defaults to 3.
        base_channels (int): Width at full resolution; doubled by each halving up to 384.
            Defaults to 16: what the authors' option ``ndf=8`` gives for crops of 128 pixels.
        last_size (int): Side that the maps are halved down to, a power of 2, at least 4 and at
            most ``size``: 8 in F-LSeSim, 4 in CUT. Defaults to 8.
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
        last_size: int = 8,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        check_ints(self, 1, in_channels=in_channels, base_channels=base_channels)
        if not 4 <= last_size <= size or size & (size - 1) or last_size & (last_size - 1):
            raise ValueError(
                'StyleGAN2Discriminator: size and last_size must be powers of 2 with 4 <= '
                f'last_size <= size, got {size} and {last_size}'
            )
        self.size = size
        widths = stylegan2_widths(size, base_channels)
        halvings = size.bit_length() - last_size.bit_length()
        self.convs = nn.Sequential(
            EqualizedConv(in_channels, widths[0], 1),
            *(ResidualBlock(widths[i], widths[i + 1], halve=True) for i in range(halvings)),
            EqualizedConv(widths[halvings], widths[-1], 3),
        )
        self.linear = nn.Sequential(
            EqualizedLinear(widths[-1] * last_size**2, widths[-1], activate=True),
            EqualizedLinear(widths[-1], 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Judge crops.

        Args:
            images (Tensor): Shape (B, in_channels, size, size), values in [-1, 1].

        Returns:
            Tensor: Unbounded scores, one per crop, shape (B, 1).

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


def stylegan2_widths(size: int, base_channels: int) -> list[int]:
    """Channels of the discriminator's maps of ``size`` pixels, of half as many and so on to 4."""
    return [min(384, base_channels * 2**i) for i in range(size.bit_length() - 2)]
