"""Read any picture file as 8-bit colour, converting what it holds deliberately."""

import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from mmengine.fileio import get
from PIL import Image

_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_picture(
    path: str | Path,
    background: Sequence[int] = (255, 255, 255),
    backend_args: dict | None = None,
) -> np.ndarray:
    """Read any common picture as 8-bit BGR.

    Grey is repeated to three channels, transparency is laid over ``background``, palettes and
    CMYK are converted, 16 bits are scaled to 8 (65535 becomes 255) and rounded, and the
    orientation that a camera noted is applied.

    Args:
        path (str | Path): File.
        background (Sequence[int]): RGB colour, 0 to 255, behind transparent pixels.
            Defaults to white.
        backend_args (dict, optional): Arguments of MMEngine's file backend. Defaults to None:
            it follows from the path.

    Returns:
        np.ndarray: Shape (H, W, 3), BGR, uint8, contiguous.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it is unreadable or truncated, animated, or has 32-bit pixels, for which
            no white is agreed. The message names the file.
    """
    return read_picture_and_alpha(path, background, backend_args)[0]


def read_picture_and_alpha(
    path: str | Path,
    background: Sequence[int] = (255, 255, 255),
    backend_args: dict | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Read any common picture as :func:`read_picture` does, and how opaque its pixels are.

    Returns:
        tuple[np.ndarray, np.ndarray | None]: The picture, laid over ``background``, shape
        (H, W, 3), BGR, uint8; its alpha, shape (H, W), uint8, 255 opaque, None where the file
        has no transparency.

    Raises:
        FileNotFoundError: As :func:`read_picture`.
        ValueError: As :func:`read_picture`.
    """
    try:
        data = get(str(path), backend_args=backend_args)
    except FileNotFoundError:
        raise FileNotFoundError(f'picture {str(path)!r} does not exist') from None
    try:
        rgb, alpha = _decode(data, background)
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise ValueError(
            f'picture {str(path)!r} cannot be used: {error}; replace, convert or remove the file'
        ) from error
    return np.ascontiguousarray(rgb[..., ::-1]), alpha


def picture_of_array(
    array: np.ndarray, background: Sequence[int] = (255, 255, 255)
) -> tuple[np.ndarray, np.ndarray | None]:
    """What :func:`read_picture_and_alpha` would give for a file with these pixels.

    Args:
        array (np.ndarray): Grey (H, W) or (H, W, 1), BGR (H, W, 3) or BGRA (H, W, 4), uint8 or
            uint16.
        background (Sequence[int]): RGB colour, 0 to 255, behind transparent pixels.

    Raises:
        ValueError: If it is something else.
    """
    channels = array.shape[2] if array.ndim == 3 else 1
    if (
        array.ndim not in (2, 3)
        or channels not in (1, 3, 4)
        or array.dtype not in (np.uint8, np.uint16)
        or array.size == 0
    ):
        raise ValueError(
            'a picture is an array (H, W), (H, W, 3) in BGR or (H, W, 4) in BGRA, of uint8 or '
            f'uint16, got shape {array.shape} of {array.dtype}'
        )
    pixels = _sixteen_to_eight(array) if array.dtype == np.uint16 else array
    if channels == 1:
        return np.repeat(pixels.reshape(*array.shape[:2], 1), 3, axis=2), None
    if channels == 3:
        return np.ascontiguousarray(pixels), None
    picture = Image.fromarray(np.ascontiguousarray(pixels[..., [2, 1, 0, 3]]))
    rgb = np.asarray(_opaque(picture, background))
    return np.ascontiguousarray(rgb[..., ::-1]), np.asarray(_alpha(picture))


def _decode(data: bytes, background: Sequence[int]) -> tuple[np.ndarray, np.ndarray | None]:
    with Image.open(io.BytesIO(data)) as picture:
        # Several frames of an MPO are views of one photograph; cameras write them.
        if getattr(picture, 'n_frames', 1) > 1 and picture.format != 'MPO':
            raise ValueError(f'it has {picture.n_frames} frames, extract one')
        sixteen_bit_colour = _has_sixteen_bit_colour(picture)  # load() drops what tells it
        picture.load()  # raises if the file is truncated
        orientation = picture.getexif().get(_EXIF_ORIENTATION)
        picture = _sixteen_bit_colour(data) if sixteen_bit_colour else _eight_bit(picture)
        alpha, picture = _alpha(picture), _opaque(picture, background)
    if orientation in _UPRIGHT:
        picture = picture.transpose(_UPRIGHT[orientation])
        alpha = alpha and alpha.transpose(_UPRIGHT[orientation])
    return np.asarray(picture), None if alpha is None else np.asarray(alpha)


def _has_sixteen_bit_colour(picture: Image.Image) -> bool:
    """Whether there are 16 bits a channel, of which Pillow would keep the high byte unrounded."""
    arguments = picture.tile[0][3] if picture.tile else None
    layout = arguments[0] if isinstance(arguments, (tuple, list)) and arguments else arguments
    return isinstance(layout, str) and ';16' in layout and not picture.mode.startswith('I')


def _sixteen_bit_colour(data: bytes) -> Image.Image:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3:
        raise ValueError('its 16-bit colour cannot be decoded')
    order = cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return Image.fromarray(_sixteen_to_eight(cv2.cvtColor(pixels, order)))


def _sixteen_to_eight(pixels: np.ndarray) -> np.ndarray:
    """65535 is 257 * 255: white stays white, and what lies between is rounded."""
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _eight_bit(picture: Image.Image) -> Image.Image:
    """The picture in a mode of at most 8 bits a channel."""
    # Pillow opens some 16-bit PNG and PPM files in its 32-bit mode.
    if picture.mode.startswith('I;16') or (
        picture.mode == 'I' and picture.format in ('PNG', 'PPM')
    ):
        return Image.fromarray(_sixteen_to_eight(np.asarray(picture)))
    if picture.mode[0] in 'IF':
        raise ValueError(
            f'32-bit pixels (mode {picture.mode}) have no agreed white, save it with 8 or 16 bits'
        )
    return picture


def _alpha(picture: Image.Image) -> Image.Image | None:
    """How opaque the pixels are, 255 fully; None if the picture cannot be transparent."""
    if not picture.has_transparency_data:
        return None
    return picture.convert('RGBA').getchannel('A')


def _opaque(picture: Image.Image, background: Sequence[int]) -> Image.Image:
    """The picture as RGB, with the background where it is transparent."""
    if not picture.has_transparency_data:
        return picture.convert('RGB')
    canvas = Image.new('RGBA', picture.size, (*background, 255))
    return Image.alpha_composite(canvas, picture.convert('RGBA')).convert('RGB')
