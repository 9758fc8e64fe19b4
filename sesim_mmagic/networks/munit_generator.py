"""Auto-encoder of content and style: the generator of multi-modal translation."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sesim_mmagic.registry import MODELS
from sesim_mmagic.utils.checks import check_ints

from .layer_outputs import LayeredGenerator
from .layers import InstanceNorm
from .resnet_generator import ResidualBlock

# He initialisation, which keeps the variance from layer to layer behind ReLUs.
KAIMING = dict(type='Kaiming', layer=['Conv2d', 'Linear'], mode='fan_in', distribution='normal')


def adaptive_instance_norm(features: Tensor, affine: Tensor) -> Tensor:
    """Instance norm with a scale and a shift for every image (Huang and Belongie, ICCV 2017).

    ``scale * (x - mean(x)) / sqrt(var(x) + 1e-5) + shift``, mean and variance over the positions
    of a channel of an image (MUNIT, Sec. 5.1). Statistics are taken in float32 whatever the type of
    the features.

    Args:
        features (Tensor): Shape (B, C, H, W).
        affine (Tensor): Scale and shift, shape (N, 2, C), with B = N, B = 1 or N = 1.

    Returns:
        Tensor: Shape (max(B, N), C, H, W), of the features' type.
    """
    batch = max(len(features), len(affine))
    channels = features.shape[1]
    features = features.expand(batch, -1, -1, -1)
    # One image of all channels: then it is a batch norm, which takes scale and shift along, adds
    # up half precision in float32 and needs no copy for a batch of one.
    rows = features.reshape(1, batch * channels, *features.shape[2:])
    # Scale and shift of half-precision features are to be float32, as a module's are in autocast.
    affine = affine.to(torch.promote_types(affine.dtype, torch.float32))
    scale, shift = affine.expand(batch, -1, -1).unbind(1)
    rows = F.batch_norm(rows, None, None, scale.flatten(), shift.flatten(), training=True)
    return rows.view(batch, channels, *features.shape[2:])


class AdaptiveResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with adaptive instance norm around an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3))
        self.conv2 = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3))

    def forward(self, features: Tensor, affine: Tensor) -> Tensor:
        """Features (B, C, H, W); scales and shifts of both norms (N, 2, 2, C), see the norm."""
        first, second = affine.unbind(1)
        hidden = F.relu_(adaptive_instance_norm(self.conv1(features), first))
        return features + adaptive_instance_norm(self.conv2(hidden), second)


@MODELS.register_module()
class MUNITGenerator(LayeredGenerator):
    """Auto-encoder of one domain (Huang et al., "Multimodal Unsupervised Image-to-Image
    Translation", ECCV 2018, Sec. 5.1 and appendix B.2).

    An image is a content, a map that domains share, and a style, a few numbers that set scales
    and shifts of the decoder's features. The content of one domain's generator decoded by that of
    another is a translation; a style drawn from N(0, 1) chooses one of many.

    Args:
        in_channels (int): Channels of images, encoded and decoded. Defaults to 3.
        base_channels (int): Width of the first layer; doubled by each halving of the content,
            and by the first two of the style. Defaults to 64.
        style_channels (int): Numbers of a style. Defaults to 8.
        num_downsamplings (int): Halvings of the content encoder, doublings of the decoder.
            Defaults to 2.
        num_blocks (int): Residual blocks of the content encoder, and as many of the decoder.
            Defaults to 4.
        mlp_channels (int): Width of the two hidden layers that turn a style into scales and
            shifts. Defaults to 256.
        style_downsamplings (int): Halvings of the style encoder. Defaults to 4.
        init_cfg (dict, optional): MMEngine initialisation. Defaults to Kaiming, fan-in.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        in_channels: int = 3,
        base_channels: int = 64,
        style_channels: int = 8,
        num_downsamplings: int = 2,
        num_blocks: int = 4,
        mlp_channels: int = 256,
        style_downsamplings: int = 4,
        init_cfg: dict | list | None = KAIMING,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        check_ints(self, 1, in_channels=in_channels, base_channels=base_channels)
        check_ints(self, 1, style_channels=style_channels, mlp_channels=mlp_channels)
        check_ints(self, 1, num_blocks=num_blocks)
        check_ints(self, 0, num_downsamplings=num_downsamplings)
        check_ints(self, 0, style_downsamplings=style_downsamplings)
        self.in_channels = in_channels
        self.style_channels = style_channels
        self.style_downsamplings = style_downsamplings
        #: Sides of images are to be multiples of it.
        self.size_divisor = 2**num_downsamplings
        widths = [base_channels * 2**i for i in range(num_downsamplings + 1)]
        low = widths[-1]
        self.content_encoder = nn.Sequential(
            *_down_path(in_channels, widths, norm=True),
            *(ResidualBlock(low) for _ in range(num_blocks)),
        )
        style_widths = [base_channels * min(2**i, 4) for i in range(style_downsamplings + 1)]
        # No norm here: it would take away the means and variances that make a style.
        self.style_encoder = nn.Sequential(
            *_down_path(in_channels, style_widths, norm=False),
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(style_widths[-1], style_channels, 1),
            nn.Flatten(),
        )
        self.mlp = nn.Sequential(
            nn.Linear(style_channels, mlp_channels),
            nn.ReLU(inplace=True),
            nn.Linear(mlp_channels, mlp_channels),
            nn.ReLU(inplace=True),
            nn.Linear(mlp_channels, num_blocks * 2 * 2 * low),
            nn.Unflatten(1, (num_blocks, 2, 2, low)),  # block, its norms, scale and shift
        )
        self.blocks = nn.ModuleList(AdaptiveResidualBlock(low) for _ in range(num_blocks))
        self.up_path = nn.Sequential(
            *_up_path(widths[::-1]),
            nn.ReflectionPad2d(3),
            nn.Conv2d(base_channels, in_channels, 7),
            nn.Tanh(),
        )

    @property
    def encoding_layers(self) -> nn.Sequential:
        """The content encoder. With two down samplings 0 is the padded image, 5 and 9 are the
        convolutions that halve, the residual blocks are 12 and on.
        """
        return self.content_encoder

    def forward(
        self,
        images: Tensor | None = None,
        style: Tensor | None = None,
        content: Tensor | None = None,
        content_only: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor | None]:
        """Encode, translate or decode, by what is given; a distributed wrapper calls only this.

        ``generator(images)`` is content and style, ``generator(images, style)`` the content of
        the images in that style, ``generator(style=style, content=content)`` what they decode to.

        Args:
            images (Tensor, optional): Shape (B, in_channels, H, W), values in [-1, 1], sides
                multiples of ``size_divisor``.
            style (Tensor, optional): Shape (N, style_channels), unbounded.
            content (Tensor, optional): Shape (B, C, h, w), from :meth:`encode_content`.
            content_only (bool): Whether None takes the place of the style of images that are
                encoded: one-sided nobody asks for that of a source. Defaults to False.

        Returns:
            Tensor | tuple[Tensor, Tensor | None]: What :meth:`decode` gives; without a style what
            :meth:`encode_content` and :meth:`encode_style` give.

        Raises:
            ValueError: If anything else is given, or :meth:`decode` raises it.
        """
        if images is not None and content is None:
            content = self.encode_content(images)
            if style is None:
                return content, None if content_only else self.encode_style(images)
            return self.decode(content, style)
        if images is None and content is not None and style is not None:
            return self.decode(content, style)
        raise ValueError(
            'MUNITGenerator takes images to encode, images and style to translate, or style and '
            'content to decode'
        )

    def encode_content(self, images: Tensor) -> Tensor:
        """Contents of images (B, in_channels, H, W): (B, C, H / size_divisor, W / ...)."""
        return self.content_encoder(images)

    def encode_style(self, images: Tensor) -> Tensor:
        """Styles of images.

        Args:
            images (Tensor): Shape (B, in_channels, H, W), values in [-1, 1].

        Returns:
            Tensor: Shape (B, style_channels), whatever H and W; unbounded.

        Raises:
            ValueError: If the images are too small to be halved so often.
        """
        smallest = max(4, 2**self.style_downsamplings)
        if min(images.shape[2:]) < smallest:
            raise ValueError(
                f'the style encoder needs images of at least {smallest} x {smallest} pixels, got '
                f'{images.shape[2]} x {images.shape[3]}: enlarge them or lower style_downsamplings'
            )
        return self.style_encoder(images)

    def decode(self, content: Tensor, style: Tensor) -> Tensor:
        """Images of contents in styles.

        Args:
            content (Tensor): Shape (B, C, h, w), from :meth:`encode_content` of any domain.
            style (Tensor): Shape (N, style_channels), with B = N, or either of them 1: one content
                in many styles, many contents in one. Copies are made where images begin to
                differ.

        Returns:
            Tensor: Shape (max(B, N), in_channels, h * size_divisor, w * size_divisor), values in
            [-1, 1].

        Raises:
            ValueError: If the styles have another shape or number.
        """
        self.check_style(style)
        if len(content) != len(style) and 1 not in (len(content), len(style)):
            raise ValueError(
                'contents and styles must be equally many, or one of either; got '
                f'{len(content)} contents and {len(style)} styles'
            )
        features = content
        for block, affine in zip(self.blocks, self.mlp(style).unbind(1), strict=True):
            features = block(features, affine)
        return self.up_path(features)

    def check_style(self, style: Tensor) -> None:
        """Raise ``ValueError`` unless the shape is (N, style_channels)."""
        if style.ndim != 2 or style.shape[1] != self.style_channels:
            raise ValueError(
                f'styles must have the shape (N, {self.style_channels}), got {tuple(style.shape)}'
            )


def _down_path(in_channels: int, widths: Sequence[int], norm: bool) -> list[nn.Module]:
    """A 7 x 7 convolution of the first width, then one of 4 x 4 for each other, which halves."""
    layers = []
    for index, width in enumerate(widths):
        kernel, stride = (4, 2) if index else (7, 1)
        layers += [
            nn.ReflectionPad2d((kernel - 1) // 2),
            nn.Conv2d(in_channels, width, kernel, stride),
            *([InstanceNorm()] if norm else []),
            nn.ReLU(inplace=True),
        ]
        in_channels = width
    return layers


def _up_path(widths: Sequence[int]) -> list[nn.Module]:
    """A doubling and a 5 x 5 convolution from each width to the next.

    Layer norm over channels and positions (Ba et al., 2016), with a scale and a shift per channel:
    instance norm would take away again what the style has set.
    """
    layers = []
    for wide, narrow in zip(widths, widths[1:], strict=False):
        layers += [
            nn.Upsample(scale_factor=2),
            nn.ReflectionPad2d(2),
            nn.Conv2d(wide, narrow, 5),
            nn.GroupNorm(1, narrow),
            nn.ReLU(inplace=True),
        ]
    return layers
