"""A discriminator that looks through a network which has seen pictures before."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from sesim_mmagic.functional.precision import full_precision
from sesim_mmagic.registry import MODELS
from sesim_mmagic.utils.checks import check_ints
from sesim_mmagic.utils.weights import checksum_of

from .state_dicts import freeze


@MODELS.register_module()
class ProjectedDiscriminator(nn.Module):
    """Judges features of a frozen network at several scales (Sauer et al., NeurIPS 2021).

    Fixed random 1 x 1 convolutions mix the channels of each layer, and then, from coarse to fine,
    each scale with the one above it (Sec. 3.2): what a head could overlook in one channel or scale
    is spread over all. Small heads with spectral norm judge the mixed maps; they alone train. The
    mixing follows from the seed and, as the feature network, is in no checkpoint but for its
    checksum: heads that were trained on one mixing are worth nothing on another.

    Heads without norm want maps of root mean square 1. The mixing keeps it, so the feature
    network's maps should have it (``rms`` of ``TimmFeatures``).

    Args:
        feature_net (dict): Config of a frozen network; each of its ``layers`` is a scale, from
            fine to coarse.
        channels (int): Channels of the mixed maps and width of the heads. Defaults to 64.
        min_side (int): Pictures whose shorter side is smaller are enlarged to it.
            Defaults to 0: they are not.
        seed (int): Seed of the mixing. Defaults to 0.

    Raises:
        ValueError: If a number is out of range, or ``feature_net`` names no layers, or not from
            fine to coarse.
    """

    def __init__(
        self, feature_net: dict, channels: int = 64, min_side: int = 0, seed: int = 0
    ) -> None:
        super().__init__()
        check_ints(self, 1, channels=channels)
        check_ints(self, 0, min_side=min_side, seed=seed)
        if not isinstance(feature_net, dict) or not feature_net.get('layers'):
            raise ValueError(
                'ProjectedDiscriminator: feature_net must be the config of a feature network with '
                f'layers, which are the scales, from fine to coarse; got {feature_net!r}'
            )
        self.min_side = min_side
        self.feature_net = MODELS.build(feature_net)
        strides = [self.feature_net.strides[layer] for layer in self.feature_net.layers]
        if strides != sorted(strides):
            raise ValueError(
                'ProjectedDiscriminator: feature_net.layers must go from fine to coarse, those of '
                f'{self.feature_net.layers} have strides of {strides} pixels'
            )
        self.channel_order = self.feature_net.channel_order
        generator = torch.Generator().manual_seed(seed)
        widths = self.feature_net.out_channels.values()
        self.projections = nn.ModuleList(_fixed_mixing(w, channels, generator) for w in widths)
        self.descents = nn.ModuleList(
            _fixed_mixing(channels, channels, generator) for _ in self.projections[1:]
        )
        mixings = [*self.projections, *self.descents]
        #: First digits of the SHA-256 of the mixing.
        self.checksum = checksum_of(mixing.weight for mixing in mixings)
        self.heads = nn.ModuleList(_head(channels) for _ in self.projections)

    def init_weights(self) -> None:
        """Read the feature network's weights; called once before training."""
        self.feature_net.init_weights()

    def forward(self, images: Tensor) -> list[Tensor]:
        """Judge every patch at every scale.

        Args:
            images (Tensor): Shape (B, 3, H, W), values in [-1, 1], in :attr:`channel_order`.

        Returns:
            list[Tensor]: Unbounded scores in full precision, a map (B, 1, h, w) of the size of
            each layer's map, from fine to coarse.

        Raises:
            ValueError: If the images are too small for the feature network.
        """
        heads = zip(self.heads, self.mixed_features(images), strict=True)
        with full_precision(*[head(maps) for head, maps in heads]) as scores:
            return list(scores)

    def mixed_features(self, images: Tensor) -> list[Tensor]:
        """What the heads judge: maps (B, channels, h, w), from fine to coarse."""
        shorter = min(images.shape[2:])
        if shorter < self.min_side:
            size = [round(side * self.min_side / shorter) for side in images.shape[2:]]
            images = F.interpolate(images, size, mode='bilinear', align_corners=False)
        layers = self.feature_net(images)
        features = [mix(maps) for mix, maps in zip(self.projections, layers.values(), strict=True)]
        mixed = features[-1:]
        for maps, descend in zip(features[-2::-1], list(self.descents)[::-1], strict=True):
            size = list(maps.shape[2:])
            coarse = F.interpolate(descend(mixed[0]), size, mode='bilinear', align_corners=False)
            # The sum of two unrelated maps of root mean square 1 has the square root of 2.
            mixed.insert(0, (maps + coarse) * 0.5**0.5)
        return mixed


def _fixed_mixing(in_channels: int, out_channels: int, generator: torch.Generator) -> nn.Conv2d:
    """A 1 x 1 convolution that never trains and keeps the root mean square of its input."""
    mixing = nn.utils.skip_init(nn.Conv2d, in_channels, out_channels, 1, bias=False)
    nn.init.normal_(mixing.weight, std=in_channels**-0.5, generator=generator)
    return freeze(mixing)


def _head(channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(2):
        layers.append(spectral_norm(nn.Conv2d(channels, channels, 3, padding=1)))
        layers.append(nn.LeakyReLU(0.2, inplace=True))
    return nn.Sequential(*layers, spectral_norm(nn.Conv2d(channels, 1, 3, padding=1)))
