"""Which files are pictures, and how they are opened: ONE rule for every folder and every reader."""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .decoding import check_array, decode, open_picture, picture_of_array
from .listing import (
    FORMATS,
    PICTURE_SUFFIXES,
    FolderListing,
    is_picture_name,
    kind_of,
    list_images,
    list_matches,
    shown,
    suffix_of,
)

__all__ = [
    'MAX_PIXELS',
    'PICTURE_SUFFIXES',
    'FolderListing',
    'UnusablePicture',
    'check_array',
    'check_picture',
    'is_picture_name',
    'list_images',
    'list_matches',
    'open_regular',
    'picture_of_array',
    'read_numbers',
    'read_picture',
    'read_picture_and_alpha',
    'shown',
    'suffix_of',
]

#: Most pixels of a picture where nothing else is said: Pillow's limit, above which it refuses.
MAX_PIXELS = 178_956_970
_WHITE = (255, 255, 255)
# Profiles, thumbnails and the like.
_MOST_BESIDE_PIXELS = 2**26


class UnusablePicture(ValueError):
    """A picture file that cannot be used.

    Attributes:
        path (str): The file.
        reason (str): What is wrong with it, one line without the name of the file.
    """

    def __init__(self, path: str | Path, reason: str) -> None:
        self.path = str(path)
        self.reason = ' '.join(reason.split())
        super().__init__(
            f'picture {shown(path)} cannot be used: {self.reason}; replace, convert or remove '
            'the file'
        )

    def __reduce__(self) -> tuple:
        """Rebuild from both arguments: errors cross from worker processes as pickles."""
        return type(self), (self.path, self.reason)


def open_regular(path: str | Path) -> BinaryIO:
    """Open a file to read it, if it is a regular one; never waits, as opening a pipe would.

    Raises:
        FileNotFoundError: It does not exist.
        OSError: It must not be read.
        UnusablePicture: It is no regular file.
    """
    # Looked at before, since opening a device may do something; and after, since it may be another.
    mode = os.stat(path).st_mode
    if stat.S_ISREG(mode):
        flags = os.O_RDONLY | getattr(os, 'O_NONBLOCK', 0) | getattr(os, 'O_BINARY', 0)
        file = os.fdopen(os.open(path, flags), 'rb')
        mode = os.fstat(file.fileno()).st_mode
        if stat.S_ISREG(mode):
            return file
        file.close()
    raise UnusablePicture(path, f'it is a {kind_of(mode)}, not a regular file')


def check_picture(
    path: str | Path, *, data: bytes | None = None, max_pixels: int | None = None
) -> tuple[int, int]:
    """Read the header of a picture file and refuse what :func:`read_picture` would refuse by it.

    Args:
        path (str | Path): File.
        data (bytes, optional): Its content, where it does not lie on a disk. Defaults to None.
        max_pixels (int, optional): As in :func:`read_picture`.

    Returns:
        tuple[int, int]: Width and height in pixels, as stored.

    Raises:
        FileNotFoundError: If the file is missing.
        OSError: If it must not be read.
        UnusablePicture: If it cannot be used.
    """
    with _source(path, data, _limit(max_pixels)) as file, _reasons(path):
        return open_picture(file, FORMATS, _limit(max_pixels)).size


def read_picture(
    path: str | Path,
    background: Sequence[int] = _WHITE,
    *,
    data: bytes | None = None,
    max_pixels: int | None = None,
) -> np.ndarray:
    """Read any common picture as 8-bit BGR.

    Grey is repeated to three channels, transparency is laid over ``background``, palettes and
    CMYK are converted, 16 bits are scaled to 8 (65535 becomes 255) and rounded, and the
    orientation that a camera noted is applied.

    Args:
        path (str | Path): File; only regular files with the content of one of ``FORMATS`` are
            read, whatever the name.
        background (Sequence[int]): RGB colour, 0 to 255, behind transparent pixels.
            Defaults to white.
        data (bytes, optional): Content of the file, where it does not lie on a disk; ``path`` is
            its name in errors. Defaults to None.
        max_pixels (int, optional): Most pixels. Defaults to None: ``MAX_PIXELS``.

    Returns:
        np.ndarray: Shape (H, W, 3), BGR, uint8, contiguous.

    Raises:
        FileNotFoundError: If the file is missing.
        OSError: If it must not be read.
        UnusablePicture: A ``ValueError``, if it is unreadable or truncated, animated, too large,
            or of a kind whose values are not known. The message names the file.
    """
    return read_picture_and_alpha(path, background, data=data, max_pixels=max_pixels)[0]


def read_picture_and_alpha(
    path: str | Path,
    background: Sequence[int] = _WHITE,
    *,
    data: bytes | None = None,
    max_pixels: int | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Read any common picture as :func:`read_picture` does, and how opaque its pixels are.

    Returns:
        tuple[np.ndarray, np.ndarray | None]: The picture, laid over ``background``, shape
        (H, W, 3), BGR, uint8; its alpha, shape (H, W), uint8, 255 opaque, None where the file
        has no transparency.

    Raises:
        OSError: As :func:`read_picture`.
        UnusablePicture: As :func:`read_picture`.
    """
    limit = _limit(max_pixels)
    with _source(path, data, limit) as file:
        content = file.read() if data is None else data
    with _reasons(path):
        rgb, alpha = decode(content, background, FORMATS, limit)
    return np.ascontiguousarray(rgb[..., ::-1]), alpha


def read_numbers(path: str | Path) -> np.ndarray:
    """Read what a picture file stores, such as label numbers or the indices of a palette.

    Args:
        path (str | Path): File.

    Returns:
        np.ndarray: Shape (H, W), or (H, W, C) where there are several channels, as stored.

    Raises:
        FileNotFoundError: If the file is missing.
        OSError: If it must not be read.
        UnusablePicture: If it cannot be used.
    """
    with (
        _source(path, None, MAX_PIXELS) as file,
        _reasons(path),
        open_picture(file, FORMATS, MAX_PIXELS) as picture,
    ):
        return np.array(picture)


def _limit(max_pixels: int | None) -> int:
    if max_pixels is None:
        return MAX_PIXELS
    if not isinstance(max_pixels, int) or isinstance(max_pixels, bool) or max_pixels < 1:
        raise ValueError(f'max_image_pixels must be an integer of at least 1, got {max_pixels!r}')
    return max_pixels


def _source(path: str | Path, data: bytes | None, max_pixels: int) -> BinaryIO:
    """The opened file, if it is one that may be read."""
    if data is not None:
        return BytesIO(data)
    try:
        file = open_regular(path)
    except FileNotFoundError:
        raise FileNotFoundError(f'picture {shown(path)} does not exist') from None
    size = os.fstat(file.fileno()).st_size
    if size > 8 * max_pixels + _MOST_BESIDE_PIXELS:
        file.close()
        raise UnusablePicture(
            path,
            f'the file has {size} bytes, more than max_image_pixels={max_pixels} of 8 bytes need; '
            'to allow it, raise that (--max-image-pixels)',
        )
    return file


@contextmanager
def _reasons(path: str | Path) -> Iterator[None]:
    """Turn what decoders raise on damaged files, which is nearly anything, into one error."""
    try:
        yield
    except Exception as error:
        raise UnusablePicture(path, str(error) or type(error).__name__) from error
