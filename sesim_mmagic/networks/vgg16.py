"""VGG16 as a frozen feature network (Simonyan and Zisserman, ICLR 2015, configuration D)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.models import VGG16_Weights
from torchvision.models.vgg import make_layers

from sesim_mmagic.registry import MODELS

from .state_dicts import check_pretrained, draw_he_normal, freeze, load_pretrained

# Channels of the convolutions, one tuple per resolution; a 2 x 2 max pooling between tuples.
STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
LAYERS = tuple(
    f'relu{stage}_{conv}'
    for stage, widths in enumerate(STAGES, 1)
    for conv, _ in enumerate(widths, 1)
)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@MODELS.register_module()
class VGG16Features(nn.Module):
    """Feature maps of VGG16 after the named ReLUs, frozen, stopped at the deepest of them.

    The weights are no parameters (see :func:`~sesim_mmagic.networks.state_dicts.freeze`) and are
    read when first needed: by :meth:`init_weights`, which MMEngine calls when a training starts,
    or by the first forward pass. A model that only translates never reads them.

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

    scale: Tensor
    shift: Tensor

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
        check_pretrained(self, pretrained, seed)
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
        depth = max(LAYERS.index(layer) for layer in self.layers) + 1
        widths = [max(1, round(width * w)) for stage in STAGES for w in stage][:depth]
        self._widths = dict(zip(LAYERS, widths, strict=False))
        self.out_channels = {layer: self._widths[layer] for layer in self.layers}
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
        if channel_order == 'bgr':
            mean, std = mean.flip(0), std.flip(0)
        # (x + 1) / 2 brings [-1, 1] to [0, 1]; then ImageNet's mean and deviation.
        self.register_buffer('scale', (0.5 / std).view(1, 3, 1, 1), persistent=False)
        self.register_buffer('shift', ((0.5 - mean) / std).view(1, 3, 1, 1), persistent=False)
        self.stack: nn.Sequential | None = None

    def init_weights(self) -> None:
        """Read or draw the weights; once.

        Raises:
            FileNotFoundError: If the weights' file is missing or cannot be downloaded.
            ValueError: If the file holds no VGG16.
        """
        if self.stack is not None:
            return
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
            load_pretrained(stack, self.pretrained, 'VGG16 weights', url, name_in_file=names)
        if self.channel_order == 'bgr':
            stack[0].weight.data = stack[0].weight.data.flip(1)
        self.stack = freeze(stack).to(self.scale)

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
        deepest = list(self._widths)[-1]
        smallest = 2 ** (int(deepest[4]) - 1)
        if images.dim() != 4 or images.shape[1] != 3 or min(images.shape[2:]) < smallest:
            raise ValueError(
                'VGG16Features expects images of shape (B, 3, H, W), both sides at least '
                f'{smallest} for {deepest}; got {tuple(images.shape)}'
            )
        self.init_weights()
        assert self.stack is not None
        features = images * self.scale + self.shift
        if features.device.type == 'cpu':
            # A third faster here, whatever the format of the model around.
            features = features.contiguous(memory_format=torch.channels_last)
        outputs, names = {}, iter(self._widths)
        for layer in self.stack:
            features = layer(features)
            if isinstance(layer, nn.ReLU) and (name := next(names)) in self.layers:
                outputs[name] = features
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
