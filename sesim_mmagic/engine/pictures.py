"""From tensors to 8-bit pictures to files."""

from pathlib import Path

import cv2
import numpy as np
from torch import Tensor

from sesim_mmagic.utils.files import write_atomically


def to_picture(image: Tensor) -> np.ndarray:
    """Round an image to 8 bits.

    Args:
        image (Tensor): (3, H, W), BGR, values in [0, 255]; values outside are clipped.

    Returns:
        np.ndarray: (H, W, 3), BGR, uint8.
    """
    values = image.detach().float().clamp(0, 255).round().byte()
    return values.permute(1, 2, 0).contiguous().cpu().numpy()


def to_model_range(image: Tensor, channel_order: str | None = 'bgr') -> Tensor:
    """Turn an image as a test step gives it into what networks and losses see.

    Args:
        image (Tensor): (3, H, W), BGR, values in [0, 255].
        channel_order (str | None): 'bgr', 'rgb', or None where it does not matter.

    Returns:
        Tensor: (1, 3, H, W), in the channel order asked for, values in [-1, 1].
    """
    image = image.flip(0) if channel_order == 'rgb' else image
    return image[None].float() / 127.5 - 1


def write_picture(path: str | Path, picture: np.ndarray) -> None:
    """Write a picture as PNG; the file appears once it is complete.

    Args:
        path (str | Path): File to write.
        picture (np.ndarray): (H, W, 3), BGR, uint8; with three equal channels the file has one.
    """
    if picture.shape[2:] == (3,) and (picture == picture[..., :1]).all():
        picture = picture[..., 0]
    write_atomically(path, cv2.imencode('.png', picture)[1].tobytes())
