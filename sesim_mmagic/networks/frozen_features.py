"""What all feature networks share: frozen weights from elsewhere, and their checksum."""

from abc import ABCMeta, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sesim_mmagic.utils.weights import checksum_of

from .state_dicts import freeze


class FrozenFeatures(nn.Module, metaclass=ABCMeta):
    """Maps of some layers of a network that somebody else trained; it never trains here.

    The weights are no parameters (see :func:`~sesim_mmagic.networks.state_dicts.freeze`), stay in
    evaluation mode, and are read when first needed: by :meth:`init_weights`, which MMEngine calls
    when a training starts, or by the first forward pass. A model that only translates never reads
    them. Checkpoints hold their checksum alone, see :attr:`checksum`.

    Args:
        name (str): Short name, as it ends the keys of scores.
        layers (Sequence[str]): Names of the layers.
        channel_order (str): Order of the input's channels, ``'bgr'`` or ``'rgb'``.
        mean (Sequence[float]): Of red, green and blue in [0, 1], as the network was trained.
        std (Sequence[float]): Likewise, their deviation.

    Raises:
        ValueError: If there is no layer, or the order of channels is unknown.

    Attributes:
        out_channels (dict[str, int]): Channels of each layer's map.
        strides (dict[str, int]): Pixels from one position of a layer's map to the next.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        name: str,
        layers: Sequence[str],
        channel_order: str,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__()
        if channel_order not in ('bgr', 'rgb'):
            raise ValueError(
                f"{type(self).__name__}: channel_order must be 'bgr' or 'rgb', got "
                f'{channel_order!r}'
            )
        self.name = name
        self.layers = as_names(layers)
        self.channel_order = channel_order
        self.out_channels: dict[str, int] = {}
        self.strides: dict[str, int] = {}
        means, deviations = (torch.tensor(v).view(1, 3, 1, 1) for v in (mean, std))
        if channel_order == 'bgr':
            means, deviations = means.flip(1), deviations.flip(1)
        # (x + 1) / 2 brings [-1, 1] to [0, 1]; then the mean and deviation of the training.
        self.register_buffer('scale', 0.5 / deviations, persistent=False)
        self.register_buffer('shift', (0.5 - means) / deviations, persistent=False)
        self.network: nn.Module | None = None
        #: First digits of the SHA-256 of the weights; None before they are read.
        self.checksum: str | None = None

    @abstractmethod
    def build(self) -> nn.Module:
        """The network with its weights, read or drawn, on the CPU; called once.

        Its first convolutions take channels in :attr:`channel_order`, see :func:`take_bgr`.
        """

    @abstractmethod
    def run(self, network: nn.Module, images: Tensor) -> dict[str, Tensor]:
        """Maps (B, C, h, w) of the layers, of normalized images (B, 3, H, W)."""

    def init_weights(self) -> None:
        """Read or draw the weights; once.

        Raises:
            FileNotFoundError: If the weights' file is missing or cannot be downloaded.
            ValueError: If the file does not hold this network.
        """
        if self.network is None:
            network = freeze(self.build()).eval()
            self.checksum = checksum_of(network.buffers())
            self.network = network.to(self.scale)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Features of a batch of images.

        Args:
            images (Tensor): Shape (B, 3, H, W), values in [-1, 1], channels in
                :attr:`channel_order`, both sides at least the stride of the deepest layer.

        Returns:
            dict[str, Tensor]: For each of :attr:`layers` a map of shape (B, C, h, w).

        Raises:
            ValueError: If the images have another shape, or are too small for the layers.
        """
        deepest = max(self.strides, key=lambda layer: self.strides[layer])
        smallest = self.strides[deepest]
        are_pictures = images.dim() == 4 and images.shape[1] == 3
        if not are_pictures or min(images.shape[2:]) < smallest:
            advice = ': give larger pictures, or shallower layers' if are_pictures else ''
            raise ValueError(
                f'{type(self).__name__} expects images of shape (B, 3, H, W), both sides at least '
                f'{smallest} for {deepest}; got {tuple(images.shape)}{advice}'
            )
        self.init_weights()
        assert self.network is not None
        images = images * self.scale + self.shift
        if images.device.type == 'cpu':
            # A third faster here, whatever the format of the model around.
            images = images.contiguous(memory_format=torch.channels_last)
        return self.run(self.network, images)

    def train(self, mode: bool = True) -> 'FrozenFeatures':
        """Set the module's flag; the network's norms keep the statistics they came with."""
        super().train(mode)
        if self.network is not None:
            self.network.eval()
        return self


def as_names(layers: Sequence[str]) -> tuple[str, ...]:
    """The layers as a tuple; a single name may stand by itself.

    Raises:
        ValueError: If there is none, one that is no text, or one twice.
    """
    names = (layers,) if isinstance(layers, str) else tuple(layers)
    if not names or len(set(names)) < len(names) or not all(isinstance(n, str) for n in names):
        raise ValueError(f'layers must name one layer or more, each once; got {layers!r}')
    return names


def take_bgr(convolution: nn.Module) -> None:
    """Reorder the weights of a network's first convolution, so that it takes BGR for RGB.

    Raises:
        ValueError: If it takes no pictures of three channels.
    """
    weight = getattr(convolution, 'weight', None)
    if not isinstance(weight, Tensor) or weight.dim() != 4 or weight.shape[1] != 3:
        raise ValueError(
            'this network does not say which convolution takes pictures: set its '
            "channel_order='rgb', and data_preprocessor.output_channel_order='RGB'"
        )
    weight.data = weight.data.flip(1)
