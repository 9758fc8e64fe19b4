"""Networks in whose features sets of pictures are compared."""

import hashlib
import io
import json
from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import (
    URL_INCEPTION_V3,
    FeatureExtractorInceptionV3,
)
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from sesim_mmagic.networks.state_dicts import download_state_dict, read_state_dict
from sesim_mmagic.registry import MODELS

INCEPTION_SIDE = 299  # pixels
SHA256_INCEPTION = '6726825d'  # begins so; the end of the file's name


class FeatureNetwork(nn.Module, metaclass=ABCMeta):
    """One vector of features for a picture; frozen.

    Attributes:
        name (str): Short name that ends the keys of results. Networks with random weights say so.
        settings (dict): What shapes the features besides the weights.
    """

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        super().__init__()
        self.name = name
        self.settings = settings

    @abstractmethod
    def init_weights(self) -> None:
        """Read or draw the weights; once. The first forward pass does it, unless done before."""

    @abstractmethod
    def features(self, pictures: Tensor) -> Tensor:
        """Features (B, C) of 8-bit RGB pictures (B, 3, H, W)."""

    @torch.no_grad()
    def forward(self, pictures: Tensor) -> Tensor:
        """Features of a batch of pictures.

        Args:
            pictures (Tensor): Shape (B, 3, H, W), RGB, uint8.

        Returns:
            Tensor: Shape (B, C), float32.

        Raises:
            ValueError: If the pictures have another shape or type.
        """
        if pictures.dim() != 4 or pictures.shape[1] != 3 or pictures.dtype != torch.uint8:
            raise ValueError(
                f'{type(self).__name__} expects pictures of shape (B, 3, H, W) and type uint8; '
                f'got {tuple(pictures.shape)}, {pictures.dtype}'
            )
        self.init_weights()
        return self.features(pictures).float()

    def identity(self) -> str:
        """The name with a digest of weights and settings: equal for equal features alone."""
        self.init_weights()
        content = hashlib.sha256(json.dumps(self.settings, sort_keys=True, default=str).encode())
        for tensors in (self.named_parameters(), self.named_buffers()):
            for name, tensor in tensors:
                content.update(f'{name} {tuple(tensor.shape)} {tensor.dtype}'.encode())
                content.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return f'{self.name}-{content.hexdigest()[:16]}'


class _Inception(FeatureExtractorInceptionV3):
    """torch-fidelity's network, with weights of nothing in particular, frozen.

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

    def load_state_dict(self, state_dict: Mapping[str, Tensor], *args: Any, **kwargs: Any) -> Any:
        """As every module, but nothing while the constructor runs."""
        if not self.fc.weight.is_meta:
            return super().load_state_dict(state_dict, *args, **kwargs)


@MODELS.register_module()
class InceptionFeatures(FeatureNetwork):
    """The 2048 pooled features of the Inception network of FID (TensorFlow's of 2015-12-05).

    The network is torch-fidelity's; it is pytorch-fid's too, and clean-fid's, so that what is left
    between published figures is how pictures get to 299 x 299 pixels:

    - ``resize='clean'``: bicubic with antialiasing (Pillow, in float, clipped to 0 to 255), as
      clean-fid (Parmar et al., CVPR 2022) does. It compares with clean-fid's figures.
    - ``resize='legacy'``: TensorFlow 1's bilinear without antialiasing, as the first FID
      (Heusel et al., NeurIPS 2017) and torch-fidelity. The papers of FSeSim and LSeSim give
      figures of pytorch-fid, whose bilinear resizing has no antialiasing either, but other
      centres of pixels: legacy is the nearest setting, not the same to the last digit.

    The two must not be mixed in one table.

    Args:
        weights (str, optional): ``'download'`` for torch-fidelity's weights (95 MB, downloaded
            once, then in torch's cache), a path to that file, or None for random weights
            (He normal), which must be asked for with ``seed``; the name then ends in ``_random``,
            for such figures are no FID. Defaults to 'download'.
        seed (int, optional): Seed of random weights; needed if and only if ``weights`` is None.
            Defaults to None.
        resize (str): ``'clean'`` or ``'legacy'``. Defaults to 'clean'.

    Raises:
        ValueError: If an argument is unknown or does not fit another.
    """

    def __init__(
        self, weights: str | None = 'download', seed: int | None = None, resize: str = 'clean'
    ) -> None:
        if resize not in RESIZES:
            raise ValueError(
                f'InceptionFeatures: resize must be one of {list(RESIZES)}, got {resize!r}'
            )
        if (weights is None) != (seed is not None):
            raise ValueError(
                "InceptionFeatures: give weights='download' or a path, or ask for random weights "
                f'with weights=None and a seed; got weights={weights!r}, seed={seed!r}'
            )
        super().__init__(_name(resize, seed), dict(resize=resize))
        self.weights = weights
        self.seed = seed
        self.resize = RESIZES[resize]
        self.network = _Inception()
        self.weights_ready = False

    def init_weights(self) -> None:
        """Read or draw the weights; once.

        Raises:
            FileNotFoundError: If the weights' file is missing or cannot be downloaded.
            ValueError: If the file does not hold torch-fidelity's Inception network.
        """
        if self.weights_ready:
            return
        if self.weights is None:
            self._draw_weights()
        else:
            state_dict = read_inception_weights(self.weights)
            try:
                self.network.load_state_dict(state_dict)
            except RuntimeError as error:
                raise ValueError(
                    f'Inception weights {self.weights!r} do not fit: {str(error)[:300]} ...; give '
                    f'the file {URL_INCEPTION_V3}'
                ) from error
        self.weights_ready = True

    def _draw_weights(self) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        for layer in self.network.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                drawn = torch.empty(layer.weight.shape)
                nn.init.kaiming_normal_(drawn, nonlinearity='relu', generator=generator)
                layer.weight.copy_(drawn)
                if layer.bias is not None:
                    layer.bias.zero_()
            elif isinstance(layer, nn.BatchNorm2d):
                layer.reset_parameters()

    def features(self, pictures: Tensor) -> Tensor:
        """Features (B, 2048) of 8-bit RGB pictures (B, 3, H, W)."""
        maps = self.resize(pictures).to(self.network.fc.weight.device)
        maps = (maps - 128) / 128
        # torch-fidelity's own forward pass takes 8-bit pictures and resizes them its one way.
        for layer in self.network.children():
            if layer is not self.network.fc:
                maps = layer(maps)
        return maps.flatten(1)


@MODELS.register_module()
class PooledFeatures(FeatureNetwork):
    """Spatial means of the feature maps of any network, its layers one after the other.

    Figures from it compare with each other, not with anybody's FID. Its name is that of the
    network's type in small letters without ``features``, e.g. ``'vgg16'``; where that network has
    a ``seed``, its weights are random and the name ends in ``_random``.

    Args:
        network (dict): Config of a network such as ``VGG16Features``, which takes images
            (B, 3, H, W) in [-1, 1] and gives a dict of maps (B, C, h, w). Where it has a
            ``channel_order``, it gets that; otherwise RGB.
    """

    def __init__(self, network: Mapping[str, Any]) -> None:
        built = MODELS.build(dict(network))
        name = type(built).__name__.lower().removesuffix('features')
        super().__init__(_name(name, getattr(built, 'seed', None)), dict(network))
        self.network = built.eval()  # no running statistics change

    def init_weights(self) -> None:
        """Read or draw the weights; once."""
        if hasattr(self.network, 'init_weights'):
            self.network.init_weights()

    def features(self, pictures: Tensor) -> Tensor:
        """Features (B, C) of 8-bit RGB pictures (B, 3, H, W)."""
        tensors = [*self.network.parameters(), *self.network.buffers()]
        images = pictures.to(tensors[0].device if tensors else 'cpu') / 127.5 - 1
        if getattr(self.network, 'channel_order', 'rgb') == 'bgr':
            images = images.flip(1)
        return torch.cat([maps.mean((2, 3)) for maps in self.network(images).values()], dim=1)


def _name(name: str, seed: int | None) -> str:
    return name if seed is None else f'{name}_random'


def read_inception_weights(weights: str) -> Mapping[str, Tensor]:
    """State dict of torch-fidelity's Inception network, from a path or its download.

    Raises:
        FileNotFoundError: If the file is missing or cannot be downloaded.
        ValueError: If the file is not a readable state dict.
    """
    if weights == 'download':
        return download_state_dict(
            URL_INCEPTION_V3,
            'Inception weights',
            'weights of InceptionFeatures',
            SHA256_INCEPTION,
        )
    return read_state_dict(
        weights,
        'Inception weights',
        f"set weights of InceptionFeatures to the path of {URL_INCEPTION_V3}, to 'download' to "
        'download it, or to None with a seed for random weights',
    )


def resize_clean(pictures: Tensor) -> Tensor:
    """8-bit pictures (B, 3, H, W) at Inception's size, bicubic with antialiasing: float32, CPU."""
    size = INCEPTION_SIDE, INCEPTION_SIDE
    channels = pictures.flatten(0, 1).cpu().numpy().astype(np.float32)  # Pillow's mode F
    resized = [
        np.asarray(Image.fromarray(channel).resize(size, Image.Resampling.BICUBIC))
        for channel in channels
    ]
    return torch.from_numpy(np.stack(resized)).clamp_(0, 255).unflatten(0, (-1, 3))


def resize_legacy(pictures: Tensor) -> Tensor:
    """8-bit pictures (B, 3, H, W) at Inception's size, bilinear as TensorFlow 1: float32."""
    size = INCEPTION_SIDE, INCEPTION_SIDE
    return interpolate_bilinear_2d_like_tensorflow1x(
        pictures.float(), size=size, align_corners=False
    )


RESIZES: dict[str, Callable[[Tensor], Tensor]] = dict(clean=resize_clean, legacy=resize_legacy)
