"""Networks that give every pixel a class."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sesim_mmagic.networks.state_dicts import copy_weights, draw_he_normal
from sesim_mmagic.registry import MODELS


@MODELS.register_module()
class NetworkSegmentor(nn.Module):
    """Any registered segmentation network, by its config and a file of its weights.

    Args:
        network (dict): Config of the network, such as ``dict(type='sesim_mmagic.DRN22')``. It takes
            normalized RGB pictures (B, 3, H, W) and gives logits (B, C, h, w), which are resized
            to the pictures (bilinear).
        pretrained (str, optional): Path of its state dict, or None for random weights (He normal),
            which must be asked for with ``seed``.
        seed (int, optional): Seed of random weights; needed if and only if ``pretrained`` is None.
            Defaults to None.
        mean (Sequence[float]): Mean that is taken off each channel, of values in [0, 255].
            Defaults to ImageNet's.
        std (Sequence[float]): Deviation that each channel is divided by. Defaults to ImageNet's.

    Raises:
        ValueError: If ``pretrained`` and ``seed`` do not fit.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: dict,
        pretrained: str | None,
        seed: int | None = None,
        mean: Sequence[float] = (123.675, 116.28, 103.53),
        std: Sequence[float] = (58.395, 57.12, 57.375),
    ) -> None:
        super().__init__()
        if (pretrained is None) != (seed is not None):
            raise ValueError(
                'NetworkSegmentor: give pretrained, the path of a state dict, or ask for random '
                'weights with pretrained=None and a seed; got '
                f'pretrained={pretrained!r}, seed={seed!r}'
            )
        self.network = MODELS.build(network).eval()
        self.pretrained = pretrained
        self.seed = seed
        self.register_buffer('mean', torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self._is_ready = False

    def init_weights(self) -> None:
        """Read or draw the weights; once. The first picture does it, unless done before.

        Raises:
            FileNotFoundError: If there is no file.
            ValueError: If the file does not hold the network.
        """
        if self._is_ready:
            return
        if self.pretrained is not None:
            advice = "set segmentor.pretrained to the path of the network's state dict"
            copy_weights(self.network, self.pretrained, 'weights of the segmentor', advice)
        elif self.seed is not None:
            draw_he_normal(self.network, self.seed)
        self._is_ready = True

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits (B, C, H, W) of pictures (B, 3, H, W), RGB, values in [0, 255]."""
        self.init_weights()
        logits = self.network((pictures - self.mean) / self.std)
        return F.interpolate(logits, pictures.shape[2:], mode='bilinear', align_corners=False)
