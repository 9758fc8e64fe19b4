"""The pixels of picture files as 8-bit RGB, each kind of file converted deliberately."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from io import BytesIO
from threading import RLock
from typing import Any, BinaryIO

import cv2
import numpy as np
from PIL import Image, ImageFile, ImageOps
from PIL.TiffImagePlugin import TiffImageFile

from . import tiff

_ORIENTATION = 0x0112
_PLUGINS = dict(
    PNG='Png', JPEG='Jpeg', WEBP='WebP', BMP='Bmp', TIFF='Tiff', PPM='Ppm', JPEG2000='Jpeg2K',
    AVIF='Avif',
)  # fmt: skip
# What else lies under the name of a picture, by four bytes from a place on.
_OTHERS = {
    (0, b'GIF8'): 'a GIF',
    (0, b'%!PS'): 'PostScript',
    (0, b'%PDF'): 'a PDF',
    (0, b'8BPS'): 'a file of Photoshop',
    (4, b'ftyp'): 'HEIC or a film',
}
_LIMIT_LOCK = RLock()
# 12-bit data that was written into 16 bits as it is would be all but black.
_TWELVE_BITS = 4095


@contextmanager
def _without_pillows_limit(pixels: int, share: int = 1) -> Iterator[None]:
    """Lift Pillow's limit for more pixels than ``share`` times it; it is a global of the process.

    Only pictures whose size was allowed before come here. One thread at a time, and the limit is
    put back, so that nothing else in the process is read without it.
    """
    with _LIMIT_LOCK:  # the limit as it is, not as another thread has lifted it for a moment
        limit = Image.MAX_IMAGE_PIXELS
        if limit is not None and pixels > share * limit:
            Image.MAX_IMAGE_PIXELS = None
            try:
                yield
            finally:
                Image.MAX_IMAGE_PIXELS = limit
            return
    yield


def open_picture(
    stream: BinaryIO, formats: Collection[str], max_pixels: int
) -> ImageFile.ImageFile:
    """Open a picture by its content without decoding it, and refuse what cannot be used.

    Not by ``Image.open``: it warns of sizes that are allowed here and takes no limit of one's own.

    Args:
        stream (BinaryIO): The file.
        formats (Collection[str]): Pillow's names of the formats that may be opened.
        max_pixels (int): Most pixels.

    Raises:
        ValueError: If it is of none of the formats, too large, animated, or of a kind that would
            be read wrongly.
        Exception: Of nearly any kind where the file is damaged.
    """
    prefix = stream.read(16)
    for name in formats:
        import_module(f'PIL.{_PLUGINS[name]}ImagePlugin')
        factory, accept = Image.OPEN[name]
        if accept is None or accept(prefix) is not True:  # a text where Pillow lacks the decoder
            continue
        tags = tiff.read_tags(stream) if name == 'TIFF' else {}
        refusal = tiff.refusal(tags) if tags else None
        if refusal:
            raise ValueError(refusal)
        stream.seek(0)
        picture = _construct(factory, stream, tags, max_pixels)
        width, height = picture.size
        if width * height > max_pixels:
            raise ValueError(
                f'{width} x {height} are {width * height} pixels, and max_image_pixels is '
                f'{max_pixels}; to allow it, raise that (--max-image-pixels)'
            )
        _check_pages(picture)
        return picture
    others = (other for (start, sign), other in _OTHERS.items() if prefix[start:][:4] == sign)
    kind = next(others, 'no picture')
    raise ValueError(f'it is {kind}, and {", ".join(formats)} are read')


def _construct(
    factory: Any, stream: BinaryIO, tags: Mapping[int, Any], max_pixels: int
) -> ImageFile.ImageFile:
    try:
        # WebP's decoder applies the limit when it is made.
        with _without_pillows_limit(max_pixels, 2):
            return factory(stream, '')
    except Image.DecompressionBombError:
        raise ValueError(
            f'it has more pixels than max_image_pixels={max_pixels}; to allow it, raise that '
            '(--max-image-pixels)'
        ) from None
    except SyntaxError as error:
        if not tags:
            raise
        raise ValueError(
            f'a TIFF of this kind is not read ({tiff.describe(tags)}), save it as 8-bit RGB'
        ) from error


def _check_pages(picture: ImageFile.ImageFile) -> None:
    """Refuse animations and files of several pages."""
    frames = getattr(picture, 'n_frames', 1)
    # Several frames of an MPO are views of one photograph; cameras write them.
    if frames == 1 or picture.format == 'MPO':
        return
    if isinstance(picture, TiffImageFile):
        pages = tiff.pages(picture)
        if pages[:1] != [0]:
            raise ValueError('its first page is a reduced copy or a mask, save the picture alone')
        frames = len(pages)
    if frames > 1:
        raise ValueError(f'it has {frames} frames, extract one')


def decode(
    data: bytes, background: Sequence[int], formats: Collection[str], max_pixels: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """The pixels of a file, upright.

    Args:
        data (bytes): Content of the file.
        background (Sequence[int]): RGB colour, 0 to 255, behind transparent pixels.
        formats (Collection[str]): As of :func:`open_picture`.
        max_pixels (int): Most pixels.

    Returns:
        tuple[np.ndarray, np.ndarray | None]: RGB (H, W, 3), uint8, laid over the background;
        alpha (H, W), uint8, None where the file has no transparency.

    Raises:
        Exception: As :func:`open_picture`, or where the file is truncated or damaged.
    """
    with open_picture(BytesIO(data), formats, max_pixels) as picture:
        tags = dict(picture.tag_v2) if isinstance(picture, TiffImageFile) else {}
        # Loading drops what tells these two.
        wide, orientation = _is_wide(picture, tags), picture.getexif().get(_ORIENTATION, 1)
        with _without_pillows_limit(picture.size[0] * picture.size[1]):
            picture.load()  # raises if the file is truncated
        if wide:
            image = _wide_colour(data, tags)
            image.getexif()[_ORIENTATION] = 1 if tags else orientation
        else:
            image = _eight_bit(picture, tags)
        if image.getexif().get(_ORIENTATION, 1) != 1:
            image = ImageOps.exif_transpose(image)
        alpha, rgb = _alpha(image), _opaque(image, background)
    return np.asarray(rgb), None if alpha is None else np.asarray(alpha)


def _is_wide(picture: ImageFile.ImageFile, tags: Mapping[int, Any]) -> bool:
    """Whether there are 16 bits a channel of colour, of which Pillow would drop the low byte."""
    if tags:
        return tiff.bits(tags) == 16 and picture.mode in ('RGB', 'RGBA')
    arguments = picture.tile[0][3] if picture.tile else None
    layout = arguments[0] if isinstance(arguments, (tuple, list)) and arguments else arguments
    return isinstance(layout, str) and ';16' in layout and not picture.mode.startswith('I')


def _wide_colour(data: bytes, tags: Mapping[int, Any]) -> Image.Image:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3:
        raise ValueError('its 16-bit colour cannot be decoded')
    if tags and pixels.shape[2] == 4:
        alpha = tiff.alpha_kind(tags)
        if alpha == 0:
            pixels = pixels[..., :3]
        elif alpha == 1:
            share = np.maximum(pixels[..., 3:], 1) / 65535
            pixels[..., :3] = np.minimum(np.rint(pixels[..., :3] / share), 65535)
    order = cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return Image.fromarray(_to_eight(cv2.cvtColor(pixels, order), _white(pixels[..., :3], tags)))


def _white(pixels: np.ndarray, tags: Mapping[int, Any]) -> int:
    """Value of white in 16-bit pixels."""
    if not tags:
        return 65535
    white = tiff.white_of(tags)
    if white is None and 0 < pixels.max() <= _TWELVE_BITS:
        raise ValueError(
            f'no value of its 16 bits is above {pixels.max()}, so they seem to hold fewer bits, '
            'and no tag says how many; scale them to 16 bits, or set MaxSampleValue to 4095 or '
            'what white is'
        )
    return white or 65535


def _to_eight(pixels: np.ndarray, white: int = 65535) -> np.ndarray:
    """White stays white, and what lies between is rounded."""
    if pixels.dtype == np.uint16:  # by a table: wider copies of large pictures fill the memory
        return _to_eight(np.arange(2**16, dtype=np.uint32), white)[pixels]
    scaled = (pixels.astype(np.uint32) * 255 + white // 2) // white
    return np.minimum(scaled, 255).astype(np.uint8)


def _eight_bit(picture: Image.Image, tags: Mapping[int, Any]) -> Image.Image:
    """The picture in a mode of at most 8 bits a channel."""
    # Pillow opens some 16-bit PNG and PPM files in its 32-bit mode.
    if picture.mode.startswith('I;16') or (
        picture.mode == 'I' and picture.format in ('PNG', 'PPM')
    ):
        return _gray_of_sixteen(picture, tags)
    if picture.mode[0] in 'IF':
        raise ValueError(
            f'32-bit pixels (mode {picture.mode}) have no agreed white, save it with 8 or 16 bits'
        )
    palette = tiff.eight_bit_palette(tags)
    if palette is not None:
        picture.putpalette(palette)
    return picture


def _gray_of_sixteen(picture: Image.Image, tags: Mapping[int, Any]) -> Image.Image:
    values = np.asarray(picture)
    gray = _to_eight(values, _white(values, tags))
    if tags and tiff.is_inverted(tags):
        gray = 255 - gray
    key = picture.info.get('transparency')
    result = Image.fromarray(gray)
    if isinstance(key, int):
        result.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    result.getexif()[_ORIENTATION] = picture.getexif().get(_ORIENTATION, 1)
    return result


def check_array(array: np.ndarray) -> None:
    """Raise a ``ValueError`` for what ``picture_of_array`` does not take."""
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


def picture_of_array(
    array: np.ndarray, background: Sequence[int] = (255, 255, 255)
) -> tuple[np.ndarray, np.ndarray | None]:
    """What ``read_picture_and_alpha`` would give for a file with these pixels.

    Args:
        array (np.ndarray): Grey (H, W) or (H, W, 1), BGR (H, W, 3) or BGRA (H, W, 4), uint8 or
            uint16.
        background (Sequence[int]): RGB colour, 0 to 255, behind transparent pixels.

    Raises:
        ValueError: If it is something else.
    """
    check_array(array)
    channels = array.shape[2] if array.ndim == 3 else 1
    pixels = _to_eight(array) if array.dtype == np.uint16 else array
    if channels == 1:
        return np.repeat(pixels.reshape(*array.shape[:2], 1), 3, axis=2), None
    if channels == 3:
        return np.ascontiguousarray(pixels), None
    picture = Image.fromarray(np.ascontiguousarray(pixels[..., [2, 1, 0, 3]]))
    rgb = np.asarray(_opaque(picture, background))
    return np.ascontiguousarray(rgb[..., ::-1]), np.asarray(_alpha(picture))


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
