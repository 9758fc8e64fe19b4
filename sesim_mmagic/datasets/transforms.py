"""Reading pictures deliberately, and refusing those that are too small."""

import os
from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image, ImageOps

from sesim_mmagic.registry import TRANSFORMS


def read_picture(path: str, background: Sequence[int] = (255, 255, 255)) -> np.ndarray:
    """Read any common picture as 8-bit BGR.

    Grey is repeated to three channels, transparency is laid over ``background``, palettes and
    CMYK are converted, 16 bits are scaled to 8 (65535 becomes 255) and rounded, and the
    orientation that a camera noted is applied.

    Args:
        path (str): File.
        background (Sequence[int]): RGB colour behind transparent pixels. Defaults to white.

    Returns:
        np.ndarray: Shape (H, W, 3), BGR, uint8.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it is unreadable or truncated, animated, or has floating-point values.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f'picture {path!r} does not exist')
    try:
        with Image.open(path) as picture:
            if getattr(picture, 'n_frames', 1) > 1:
                raise ValueError(f'it has {picture.n_frames} frames; extract one')
            picture.load()
            picture = ImageOps.exif_transpose(picture)
            rgb = _to_rgb(picture, background)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(
            f'picture {path!r} cannot be used: {error}; replace the file or remove it'
        ) from error
    return np.ascontiguousarray(rgb[..., ::-1])


def _to_rgb(picture: Image.Image, background: Sequence[int]) -> np.ndarray:
    """An RGB uint8 array of a loaded picture."""
    if picture.mode == 'F':
        raise ValueError('floating-point pixels have no agreed range; save it with 8 or 16 bits')
    if picture.mode.startswith('I'):
        grey = np.asarray(picture).astype(np.float64)
        if grey.min() < 0 or grey.max() > 65535:
            raise ValueError('32-bit pixels exceed 16 bits; save it with 8 or 16 bits')
        grey = np.rint(grey / 257).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if 'transparency' in picture.info or picture.mode in ('LA', 'PA', 'La', 'RGBA', 'RGBa'):
        picture = picture.convert('RGBA')
        canvas = Image.new('RGBA', picture.size, (*background, 255))
        picture = Image.alpha_composite(canvas, picture)
    return np.asarray(picture.convert('RGB'))


@TRANSFORMS.register_module()
class LoadPicture(BaseTransform):
    """Load ``{key}_path`` into ``{key}`` with :func:`read_picture`.

    Leaves what MMagic's ``LoadImageFromFile`` leaves: the picture, its original shape, channel
    order and colour type.

    Args:
        key (str): Key of the picture. Defaults to 'img'.
        background (Sequence[int]): RGB colour behind transparent pixels. Defaults to white.
    """

    def __init__(self, key: str = 'img', background: Sequence[int] = (255, 255, 255)) -> None:
        self.key = key
        self.background = tuple(background)

    def transform(self, results: dict) -> dict:
        """Read the file that ``results[f'{key}_path']`` names."""
        picture = read_picture(str(results[f'{self.key}_path']), self.background)
        results[self.key] = picture
        results[f'ori_{self.key}_shape'] = picture.shape
        results[f'{self.key}_channel_order'] = 'BGR'
        results[f'{self.key}_color_type'] = 'color'
        return results


@TRANSFORMS.register_module()
class CheckSize(BaseTransform):
    """Refuse pictures that are smaller than the crop which follows.

    MMagic's ``Crop`` gives such a picture back as it is, and the batch is padded with zeros.

    Args:
        keys (Sequence[str]): Keys of pictures.
        min_size (tuple[int, int]): Smallest height and width in pixels.
    """

    def __init__(self, keys: Sequence[str], min_size: tuple[int, int]) -> None:
        self.keys = tuple(keys)
        self.min_size = tuple(min_size)

    def transform(self, results: dict) -> dict:
        """Raise ``ValueError`` for a picture that is too small."""
        for key in self.keys:
            height, width = results[key].shape[:2]
            if height < self.min_size[0] or width < self.min_size[1]:
                raise ValueError(
                    f'picture {results.get(f"{key}_path", key)!r} is {height} x {width} pixels '
                    f'(height x width) where it is cropped to {self.min_size[0]} x '
                    f'{self.min_size[1]}; remove it, resize it first, or crop smaller'
                )
        return results
