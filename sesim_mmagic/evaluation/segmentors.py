"""Networks, and what stands in for one, that give every pixel a class.

Each takes RGB pictures (B, 3, H, W), float, values in [0, 255], and gives logits (B, C, H, W).
"""

import os
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sesim_mmagic.datasets.shape_scenes import PALETTE
from sesim_mmagic.registry import MODELS

from .scores import segment_by_palette
from .translation_metric import to_rgb

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


@MODELS.register_module()
class TorchScriptSegmentor(nn.Module):
    """Any segmentation network that was saved with ``torch.jit.save``; read when first needed.

    A TorchScript file is a program: use none from a source that you do not trust.

    Args:
        path (str): The file. Its network takes RGB pictures (B, 3, h, w) and gives logits
            (B, C, h', w'), which are resized to the pictures (bilinear).
        mean (Sequence[float]): Mean that is taken off each channel, of values in [0, 255].
            Defaults to ImageNet's.
        std (Sequence[float]): Deviation that each channel is divided by. Defaults to ImageNet's.
        size (tuple[int, int], optional): Height and width that pictures are resized to for the
            network (bicubic, antialiased). Defaults to None: they stay as they are.
    """

    def __init__(
        self,
        path: str,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.path = path
        self.size = size
        self.register_buffer('mean', torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.network: nn.Module | None = None

    def init_weights(self) -> None:
        """Read the network; the first picture does it, unless done before."""
        if self.network is None:
            self.network = _read_torchscript(self.path).eval()

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits (B, C, H, W) of pictures (B, 3, H, W), RGB, values in [0, 255].

        Raises:
            FileNotFoundError: If there is no file.
            ValueError: If the file is no TorchScript, or its network gives no logits.
        """
        self.init_weights()
        self.network.to(pictures.device)
        inputs = pictures
        if self.size is not None:
            # Bicubic weights overshoot; a saved picture would not.
            inputs = F.interpolate(inputs, tuple(self.size), mode='bicubic', antialias=True)
            inputs = inputs.clamp(0, 255)
        logits = self.network((inputs - self.mean) / self.std)
        if not torch.is_tensor(logits) or logits.dim() != 4:
            found = tuple(logits.shape) if torch.is_tensor(logits) else type(logits).__name__
            raise ValueError(
                f'TorchScriptSegmentor: the network of {self.path} must give a tensor of logits '
                f'(B, C, H, W), got {found}; trace a module that returns them alone'
            )
        return F.interpolate(logits, pictures.shape[2:], mode='bilinear', align_corners=False)


@MODELS.register_module()
class PaletteSegmentor(nn.Module):
    """Gives every pixel the class of the nearest colour: for flat drawings.

    Args:
        palette (Sequence[Sequence[int]]): RGB colour of each class, 8 bits.
            Defaults to that of the synthetic shapes.
    """

    def __init__(self, palette: Sequence[Sequence[int]] = PALETTE) -> None:
        super().__init__()
        self.palette = np.asarray(palette)

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits (B, C, H, W), 1 for the class and 0 for the others."""
        rgb = to_rgb(pictures.flip(1))
        labels = np.stack([segment_by_palette(picture, self.palette) for picture in rgb])
        one_hot = F.one_hot(torch.from_numpy(labels), len(self.palette))
        return one_hot.permute(0, 3, 1, 2).to(pictures)


def _read_torchscript(path: str) -> nn.Module:
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f'segmentor {path!r} does not exist; save one with torch.jit.save, or set '
            'segmentor.path to it'
        )
    try:
        return torch.jit.load(path, map_location='cpu')
    except RuntimeError as error:
        raise ValueError(
            f'segmentor {path!r} is no TorchScript ({str(error).splitlines()[0]}); save the '
            'network with torch.jit.save(torch.jit.trace(network, pictures), path)'
        ) from error
