"""Networks in whose features sets of pictures are compared."""

import io
from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import (
    URL_INCEPTION_V3,
    FeatureExtractorInceptionV3,
)
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from sesim_mmagic.networks.state_dicts import check_pretrained, draw_he_normal, load_pretrained
from sesim_mmagic.registry import MODELS

SIZE = (299, 299)  # pixels, of Inception's input
SHA256_INCEPTION = '6726825d'  # begins so; the end of the file's name


class FeatureNetwork(nn.Module, metaclass=ABCMeta):
    """One vector of features for a picture; frozen.

    Args:
        name (str): Short name that ends the keys of results.
        seed (int, optional): Seed of random weights, if they are random: the name then says so.
    """

    def __init__(self, name: str, seed: int | None) -> None:
        super().__init__()
        self.name = name if seed is None else f'{name}_random'

    @abstractmethod
    def init_weights(self) -> None:
        """Read or draw the weights; once. The first forward pass does it, unless done before."""

    @abstractmethod
    def forward(self, pictures: Tensor) -> Tensor:
        """Features (B, C), float32, of RGB pictures (B, 3, H, W), uint8, on any device."""


class _Inception(FeatureExtractorInceptionV3):
    """torch-fidelity's network, frozen, with weights of nothing in particular.

    Its constructor unpickles a file without restraint; here it gets an empty one, and the weights
    come later. On the meta device no random numbers are drawn for what is replaced anyway.
    """

    def __init__(self) -> None:
        nothing = io.BytesIO()
        torch.save({}, nothing)
        nothing.seek(0)
        with torch.device('meta'):
            super().__init__('inception', ['2048'], nothing)
        self.to_empty(device='cpu')

    def load_state_dict(self, state_dict: Mapping[str, Tensor], strict: bool = False) -> Any:
        """As every module, but the constructor's empty dictionary changes nothing."""
        return super().load_state_dict(state_dict, strict)


@MODELS.register_module()
class InceptionFeatures(FeatureNetwork):
    """The 2048 pooled features of the Inception network of FID (TensorFlow's of 2015-12-05).

    The network is torch-fidelity's; it is pytorch-fid's too, and clean-fid's, so that what is left
    between published figures is how pictures get to 299 x 299 pixels:

    - ``resize='clean'``: bicubic with antialiasing, in float, clipped to 0 to 255, as clean-fid
      (Parmar et al., CVPR 2022) does by Pillow. It compares with clean-fid's figures.
    - ``resize='legacy'``: TensorFlow 1's bilinear without antialiasing, as the first FID
      (Heusel et al., NeurIPS 2017) and torch-fidelity. The papers of FSeSim and LSeSim give
      figures of pytorch-fid, whose bilinear resizing has no antialiasing either, but other
      centres of pixels: legacy is the nearest setting, not the same to the last digit.

    The two must not be mixed in one table.

    Args:
        pretrained (str, optional): ``'download'`` for torch-fidelity's weights (95 MB, downloaded
            once, then in torch's cache), a path to that file, or None for random weights
            (He normal), which must be asked for with ``seed``; the name then ends in ``_random``,
            for such figures are no FID. Defaults to 'download'.
        seed (int, optional): Seed of random weights; needed if and only if ``pretrained`` is
            None. Defaults to None.
        resize (str): ``'clean'`` or ``'legacy'``. Defaults to 'clean'.

    Raises:
        ValueError: If an argument is unknown or does not fit another.
    """

    def __init__(
        self, pretrained: str | None = 'download', seed: int | None = None, resize: str = 'clean'
    ) -> None:
        if resize not in RESIZES:
            raise ValueError(
                f'InceptionFeatures: resize must be one of {list(RESIZES)}, got {resize!r}'
            )
        check_pretrained(self, pretrained, seed, 'download')
        super().__init__(resize, seed)
        self.pretrained = pretrained
        self.seed = seed
        self.resize = RESIZES[resize]
        self.network = _Inception()
        self._is_ready = False

    def init_weights(self) -> None:
        """See :func:`~sesim_mmagic.networks.state_dicts.load_pretrained` for the errors."""
        if self._is_ready:
            return
        if self.pretrained is not None:
            source = 'Inception weights', URL_INCEPTION_V3, 'download', SHA256_INCEPTION
            load_pretrained(self.network, self.pretrained, *source)
        elif self.seed is not None:
            draw_he_normal(self.network, self.seed)
        self._is_ready = True

    @torch.no_grad()
    def forward(self, pictures: Tensor) -> Tensor:
        """Features (B, 2048) of RGB pictures (B, 3, H, W), uint8."""
        self.init_weights()
        maps = self.resize(pictures.to(self.network.fc.weight.device).float())
        maps = (maps - 128) / 128
        # torch-fidelity's own forward pass resizes its one way.
        for layer in self.network.children():
            if layer is not self.network.fc:
                maps = layer(maps)
        return maps.flatten(1)


@MODELS.register_module()
class PooledFeatures(FeatureNetwork):
    """Spatial means of the feature maps of any network, its layers one after the other.

    Figures from it compare with each other, not with anybody's FID. Where the network has a
    ``seed``, its weights are random and the name ends in ``_random``.

    Args:
        network (dict): Config of a network such as ``VGG16Features``, which takes images
            (B, 3, H, W) in [-1, 1] and gives a dict of maps (B, C, h, w). Where it has a
            ``channel_order``, it gets that; otherwise RGB.
        name (str, optional): What the keys of results end in, to tell weights apart, such as
            ``'vgg16_hed'``. Defaults to None: the network's ``name``, e.g. ``'vgg16'`` or
            ``'tf_efficientnet_lite0'``, or its type in small letters.
    """

    def __init__(self, network: Mapping[str, Any], name: str | None = None) -> None:
        built = MODELS.build(dict(network))
        own_name = getattr(built, 'name', type(built).__name__.lower())
        super().__init__(name or own_name, getattr(built, 'seed', None))
        self.network = built.eval()  # no running statistics change

    def init_weights(self) -> None:
        """Read or draw the weights; once."""
        if hasattr(self.network, 'init_weights'):
            self.network.init_weights()

    @torch.no_grad()
    def forward(self, pictures: Tensor) -> Tensor:
        """Features (B, C) of RGB pictures (B, 3, H, W), uint8."""
        tensors = [*self.network.parameters(), *self.network.buffers()]
        images = pictures.to(tensors[0].device if tensors else 'cpu') / 127.5 - 1
        if getattr(self.network, 'channel_order', 'rgb') == 'bgr':
            images = images.flip(1)
        maps = self.network(images).values()
        return torch.cat([features.mean((2, 3)) for features in maps], dim=1).float()


def resize_clean(pictures: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) in [0, 255] at Inception's size, bicubic with antialiasing."""
    return F.interpolate(pictures, SIZE, mode='bicubic', antialias=True).clamp(0, 255)


def resize_legacy(pictures: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) in [0, 255] at Inception's size, bilinear as TensorFlow 1."""
    return interpolate_bilinear_2d_like_tensorflow1x(pictures, size=SIZE, align_corners=False)


RESIZES: dict[str, Callable[[Tensor], Tensor]] = dict(clean=resize_clean, legacy=resize_legacy)
