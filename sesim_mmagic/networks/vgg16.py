"""VGG16 as a frozen feature network (Simonyan and Zisserman, ICLR 2015, configuration D)."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sesim_mmagic.registry import MODELS

from .state_dicts import download_state_dict, read_state_dict

# Channels of the convolutions, one tuple a resolution; a 2 x 2 max pooling between tuples.
STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
LAYERS = tuple(
    f'relu{stage}_{conv}'
    for stage, widths in enumerate(STAGES, 1)
    for conv, _ in enumerate(widths, 1)
)
# Index of each convolution in torchvision's `vgg16().features`.
TORCHVISION_INDEX = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@MODELS.register_module()
class VGG16Features(nn.Module):
    """Feature maps of VGG16 after the named ReLUs, frozen, stopped at the deepest of them.

    The weights are buffers, not parameters: no optimizer finds them, no gradient is computed
    for them, and they stay out of checkpoints because the configuration says where they come
    from. They are read when first needed: by :meth:`init_weights`, which MMEngine calls when
    a training starts, or by the first forward pass. A model that only translates never
    reads them.

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
        super().__init__()
        self.layers = check_layers(layers)
        if (pretrained is None) != (seed is not None):
            raise ValueError(
                "VGG16Features: give pretrained='torchvision' or a path, or ask for random weights "
                f'with pretrained=None and a seed; got pretrained={pretrained!r}, seed={seed!r}'
            )
        if width <= 0 or (pretrained is not None and width != 1):
            raise ValueError(
                f'VGG16Features: width must be positive, and 1 for pretrained weights; got {width}'
            )
        if channel_order not in ('bgr', 'rgb'):
            raise ValueError(
                f"VGG16Features: channel_order must be 'bgr' or 'rgb', got {channel_order!r}"
            )
        self.pretrained = pretrained
        self.seed = seed
        self.channel_order = channel_order

        self.depth = max(LAYERS.index(layer) for layer in self.layers) + 1
        widths = [max(1, round(width * w)) for stage in STAGES for w in stage][: self.depth]
        self.out_channels = {layer: widths[LAYERS.index(layer)] for layer in self.layers}
        for index, (channels, in_channels) in enumerate(zip(widths, [3, *widths], strict=False)):
            weight = torch.zeros(channels, in_channels, 3, 3)
            self.register_buffer(f'weight{index}', weight, persistent=False)
            self.register_buffer(f'bias{index}', torch.zeros(channels), persistent=False)
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
        if channel_order == 'bgr':
            mean, std = mean.flip(0), std.flip(0)
        # (x + 1) / 2 brings [-1, 1] to [0, 1]; then ImageNet's mean and deviation.
        self.register_buffer('scale', (0.5 / std).view(1, 3, 1, 1), persistent=False)
        self.register_buffer('shift', ((0.5 - mean) / std).view(1, 3, 1, 1), persistent=False)
        self.weights_ready = False

    def init_weights(self) -> None:
        """Read or draw the weights; once.

        Raises:
            FileNotFoundError: If the weights' file is missing or cannot be downloaded.
            ValueError: If the file holds no VGG16.
        """
        if self.weights_ready:
            return
        if self.pretrained is None:
            self._draw_weights()
        else:
            self._copy_weights(read_vgg16_weights(self.pretrained))
        self.weights_ready = True

    def _draw_weights(self) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        for index in range(self.depth):
            weight = self.get_buffer(f'weight{index}')
            drawn = torch.empty(weight.shape)
            nn.init.kaiming_normal_(drawn, nonlinearity='relu', generator=generator)
            self._set_weight(index, drawn, torch.zeros(len(drawn)))

    def _copy_weights(self, state_dict: Mapping[str, Tensor]) -> None:
        for index, position in enumerate(TORCHVISION_INDEX[: self.depth]):
            names = f'features.{position}.weight', f'features.{position}.bias'
            expected = tuple(self.get_buffer(f'weight{index}').shape)
            found = [tuple(state_dict[n].shape) if n in state_dict else None for n in names]
            if found != [expected, expected[:1]]:
                raise ValueError(
                    f'VGG16 weights {self.pretrained!r} do not fit: expected {names[0]} of shape '
                    f'{expected} and its bias, found {found}; give a state dict of '
                    "torchvision's vgg16"
                )
            self._set_weight(index, *(state_dict[name] for name in names))

    def _set_weight(self, index: int, weight: Tensor, bias: Tensor) -> None:
        if index == 0 and self.channel_order == 'bgr':
            weight = weight.flip(1)
        self.get_buffer(f'weight{index}').copy_(weight)
        self.get_buffer(f'bias{index}').copy_(bias)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Features of a batch of images.

        Args:
            images (Tensor): Shape (B, 3, H, W), values in [-1, 1], channels in
                ``channel_order``.

        Returns:
            dict[str, Tensor]: For each of ``layers`` a map of shape (B, C, h, w), where
            ``h = H // 2^(stage - 1)`` and likewise ``w``.

        Raises:
            ValueError: If the images have another shape, or are too small for the layers.
        """
        smallest = 2 ** (int(LAYERS[self.depth - 1][4]) - 1)
        if images.dim() != 4 or images.shape[1] != 3 or min(images.shape[2:]) < smallest:
            raise ValueError(
                'VGG16Features expects images of shape (B, 3, H, W), both sides at least '
                f'{smallest} for {LAYERS[self.depth - 1]}; got {tuple(images.shape)}'
            )
        self.init_weights()
        features = images * self.scale + self.shift
        if features.device.type == 'cpu':
            # A third faster here, whatever the format of the model around.
            features = features.contiguous(memory_format=torch.channels_last)
        outputs = {}
        for index, layer in enumerate(LAYERS[: self.depth]):
            if index and layer.endswith('_1'):
                features = F.max_pool2d(features, 2)
            features = F.conv2d(
                features,
                self.get_buffer(f'weight{index}'),
                self.get_buffer(f'bias{index}'),
                padding=1,
            )
            features = F.relu(features, inplace=True)
            if layer in self.layers:
                outputs[layer] = features
        return {layer: outputs[layer] for layer in self.layers}

    def extra_repr(self) -> str:
        return f'layers={self.layers}, pretrained={self.pretrained!r}, seed={self.seed}'


def check_layers(layers: Sequence[str]) -> tuple[str, ...]:
    """The layers as a tuple; ``ValueError`` if there is none or one is not VGG16's."""
    layers = (layers,) if isinstance(layers, str) else tuple(layers)
    unknown = [layer for layer in layers if layer not in LAYERS]
    if unknown or not layers:
        raise ValueError(f'layers must be among {", ".join(LAYERS)}; got {unknown or layers}')
    return layers


def read_vgg16_weights(pretrained: str) -> Mapping[str, Tensor]:
    """State dict of VGG16 in torchvision's naming, from a path or torchvision's download.

    Raises:
        FileNotFoundError: If the file is missing or cannot be downloaded.
        ValueError: If the file is not a readable state dict.
    """
    if pretrained == 'torchvision':
        from torchvision.models import VGG16_Weights

        return download_state_dict(VGG16_Weights.IMAGENET1K_V1.url, 'VGG16 weights', 'pretrained')
    return read_state_dict(
        pretrained,
        'VGG16 weights',
        "set feature_net.pretrained to the path of torchvision's vgg16 state dict, to "
        "'torchvision' to download it, or to None with a seed for random weights",
    )
