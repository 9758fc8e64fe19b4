"""LPIPS (R. Zhang et al., CVPR 2018): distance of pictures in features weighted by what people see.

The ``lpips`` package brings the small weights of the layers; those of the backbone network are
torchvision's.
"""

import warnings
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from sesim_mmagic.networks.state_dicts import download_state_dict, read_state_dict

from .translation_metric import to_batch

# Network of the lpips package and its weights in torchvision.
BACKBONES = dict(alex='AlexNet_Weights', vgg='VGG16_Weights')
# A smaller picture has no position left behind AlexNet's poolings.
LEAST_SIDE = 32


class LPIPSDistance:
    """LPIPS version 0.1 of 8-bit pictures. Nothing is read before the first picture comes.

    Args:
        net (str): Backbone: ``'alex'``, with which distances and diversity are reported, or
            ``'vgg'``. Defaults to 'alex'.
        backbone (str, optional): ``'torchvision'`` for its ImageNet weights (downloaded once,
            then cached), a path to a state dict in torchvision's naming, or None for random
            weights, which must be asked for with ``seed``. Defaults to 'torchvision'.
        seed (int, optional): Seed of random weights; needed if and only if ``backbone`` is
            None. Defaults to None.
        device (str): Where the network runs. Defaults to 'cpu'.

    Raises:
        ValueError: If an argument is unknown or does not fit another.
    """

    def __init__(
        self,
        net: str = 'alex',
        backbone: str | None = 'torchvision',
        seed: int | None = None,
        device: str = 'cpu',
    ) -> None:
        if net not in BACKBONES:
            raise ValueError(f'LPIPS: net must be one of {sorted(BACKBONES)}, got {net!r}')
        if (backbone is None) != (seed is not None):
            raise ValueError(
                "LPIPS: give backbone='torchvision' or a path, or ask for random weights with "
                f'backbone=None and a seed; got backbone={backbone!r}, seed={seed!r}'
            )
        self.net = net
        self.backbone = backbone
        self.seed = seed
        self.device = device
        self._network: nn.Module | None = None

    def init_weights(self) -> None:
        """Read the weights; the first picture does it, unless done before."""
        _ = self.network

    @property
    def network(self) -> nn.Module:
        """The network of the lpips package with its weights.

        Raises:
            FileNotFoundError: If the backbone's file is missing or cannot be downloaded.
            ValueError: If the file holds another network.
        """
        if self._network is None:
            network = _unread_network(self.net, self.seed)
            if self.backbone is not None:
                state_dict = read_backbone_weights(self.net, self.backbone)
                _copy_backbone(network, state_dict, self.backbone)
            self._network = network.to(self.device)
        return self._network

    @torch.no_grad()
    def look(self, picture: np.ndarray) -> list[Tensor]:
        """What pictures are compared by: unit features of five layers, each (1, C, h, w).

        Whoever compares a picture several times looks at it once.

        Args:
            picture (np.ndarray): RGB, uint8, shape (H, W, 3).

        Raises:
            ValueError: If the picture is smaller than 32 pixels.
        """
        if min(picture.shape[:2]) < LEAST_SIDE:
            raise ValueError(
                f'LPIPS: pictures must have {LEAST_SIDE} x {LEAST_SIDE} pixels or more, got '
                f'{picture.shape[0]} x {picture.shape[1]}'
            )
        images = to_batch(picture, self.device) / 127.5 - 1
        features = self.network.net(self.network.scaling_layer(images))
        # The package's constant, so that its distances are these to the last digits.
        return [f / (f.square().sum(dim=1, keepdim=True).sqrt() + 1e-10) for f in features]

    @torch.no_grad()
    def compare(self, first: list[Tensor], second: list[Tensor]) -> float:
        """LPIPS of two looks (:meth:`look`) at pictures of one size."""
        layers = zip(self.network.lins, first, second, strict=True)
        return float(sum(lin((f - s).square()).mean() for lin, f, s in layers))

    def __call__(self, first: np.ndarray, second: np.ndarray) -> float:
        """LPIPS of two pictures, RGB, uint8, (H, W, 3); 0 for equal ones, not bounded above."""
        return self.compare(self.look(first), self.look(second))


def read_backbone_weights(net: str, backbone: str) -> Mapping[str, Tensor]:
    """State dict of a backbone in torchvision's naming, from a path or torchvision's download.

    Raises:
        FileNotFoundError: If the file is missing or cannot be downloaded.
        ValueError: If the file is not a readable state dict.
    """
    if backbone != 'torchvision':
        advice = (
            f"set backbone to the path of torchvision's state dict of {net}, to 'torchvision' to "
            'download it, or to None with a seed for random weights'
        )
        return read_state_dict(backbone, 'LPIPS backbone weights', advice)
    import torchvision

    weights = getattr(torchvision.models, BACKBONES[net]).IMAGENET1K_V1
    return download_state_dict(weights.url, 'backbone of LPIPS', 'backbone')


def _unread_network(net: str, seed: int | None) -> nn.Module:
    """The package's network with the layers' weights and a random backbone, frozen."""
    import lpips  # here, because it takes seconds

    # PyTorch's global generator belongs to the training that is evaluated.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # the package calls torchvision in an old way
        torch.default_generator.manual_seed(seed or 0)
        network = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    return network.requires_grad_(False)


def _copy_backbone(network: nn.Module, state_dict: Mapping[str, Tensor], backbone: str) -> None:
    """Put torchvision's ``features.0.weight`` where the package has ``slice1.0.weight``, etc."""
    for name, parameter in network.net.named_parameters():
        source = f'features.{name.partition(".")[2]}'
        found = tuple(state_dict[source].shape) if source in state_dict else None
        if found != tuple(parameter.shape):
            raise ValueError(
                f'LPIPS backbone weights {backbone!r} do not fit: expected {source} of shape '
                f'{tuple(parameter.shape)}, found {found}; give a state dict of the network that '
                "net names, as torchvision's"
            )
        parameter.copy_(state_dict[source])
