"""LPIPS (R. Zhang et al., CVPR 2018): distance in features weighted by what people see."""

from typing import Literal

import numpy as np
import torch
import torchvision
from torch import Tensor
from torchmetrics.functional.image.lpips import _NoTrainLpips

from sesim_mmagic.networks.state_dicts import check_pretrained, load_pretrained

from .translation_metric import to_batch

# Backbones and their weights in torchvision; torchmetrics brings the small weights of the layers.
BACKBONES = dict(alex='AlexNet_Weights', vgg='VGG16_Weights')
# A smaller picture has no position left behind AlexNet's poolings.
LEAST_SIDE = 32


class LPIPSDistance:
    """LPIPS version 0.1 of 8-bit pictures. Nothing is read before the first picture comes.

    Args:
        net (str): Backbone: ``'alex'``, with which distances and diversity are reported, or
            ``'vgg'``. Defaults to 'alex'.
        pretrained (str, optional): ``'torchvision'`` for its ImageNet weights (downloaded once,
            then cached), a path to a state dict in torchvision's naming, or None for random
            weights, which must be asked for with ``seed``. Defaults to 'torchvision'.
        seed (int, optional): Seed of random weights; needed if and only if ``pretrained`` is
            None. Defaults to None.
        device (str): Where the network runs. Defaults to 'cpu'.

    Raises:
        ValueError: If an argument is unknown or does not fit another.
    """

    def __init__(
        self,
        net: Literal['alex', 'vgg'] = 'alex',
        pretrained: str | None = 'torchvision',
        seed: int | None = None,
        device: str = 'cpu',
    ) -> None:
        if net not in BACKBONES:
            raise ValueError(f'LPIPS: net must be one of {sorted(BACKBONES)}, got {net!r}')
        check_pretrained(self, pretrained, seed)
        self.net = net
        self.pretrained = pretrained
        self.seed = seed
        self.device = device
        self._network: _NoTrainLpips | None = None

    def init_weights(self) -> None:
        """Read or draw the weights; once. The first picture does it, unless done before.

        Raises:
            FileNotFoundError: If the backbone's file is missing or cannot be downloaded.
            ValueError: If the file holds another network.
        """
        self._weighted()

    def _weighted(self) -> _NoTrainLpips:
        """The network with its weights."""
        if self._network is not None:
            return self._network
        # PyTorch's global generator belongs to the training that is evaluated.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.seed or 0)
            network = _NoTrainLpips(net=self.net, pnet_rand=True)
        if self.pretrained is not None:
            url = getattr(torchvision.models, BACKBONES[self.net]).IMAGENET1K_V1.url
            load_pretrained(
                network.net,
                self.pretrained,
                'LPIPS backbone weights',
                url,
                # torchmetrics groups torchvision's layers: slice1.0.weight, slice2.3.weight, ...
                name_in_file=lambda name: f'features.{name.partition(".")[2]}',
            )
        self._network = network.to(self.device)
        return self._network

    @torch.no_grad()
    def features(self, picture: np.ndarray) -> list[Tensor]:
        """What pictures are compared by: unit features of five layers, each (1, C, h, w).

        Whoever compares a picture several times extracts them once.

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
        network = self._weighted()
        images = to_batch(picture, self.device) / 127.5 - 1
        maps = network.net(network.scaling_layer(images))
        # The constant of LPIPS as published, so that distances are its own to the last digits.
        return [f / (f.norm(dim=1, keepdim=True) + 1e-10) for f in maps]

    @torch.no_grad()
    def compare(self, first: list[Tensor], second: list[Tensor]) -> float:
        """LPIPS of the features of two pictures of one size."""
        layers = zip(self._weighted().lins, first, second, strict=True)
        return float(sum(lin((f - s).square()).mean() for lin, f, s in layers))

    def __call__(self, first: np.ndarray, second: np.ndarray) -> float:
        """LPIPS of two pictures, RGB, uint8, (H, W, 3); 0 for equal ones, not bounded above."""
        return self.compare(self.features(first), self.features(second))
