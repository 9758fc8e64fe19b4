"""Folders and files of data sets, on this machine or behind one of MMEngine's file backends."""

import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from mmengine.fileio import BaseStorageBackend, LocalBackend, get_file_backend
from mmengine.logging import print_log

from sesim_mmagic.utils.images import (
    PICTURE_SUFFIXES,
    FolderListing,
    is_picture_name,
    list_images,
    read_picture,
    shown,
)


def list_pictures(folder: str | Path, backend: BaseStorageBackend | None = None) -> list[str]:
    """Paths of the pictures in a folder and in those inside it; what is left out is logged.

    Args:
        folder (str | Path): The folder.
        backend (BaseStorageBackend, optional): Where it lies. Defaults to None: it follows from
            the path.

    Returns:
        list[str]: At least one path, in the order of ``list_images``.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it holds no picture.
    """
    backend = backend or get_file_backend(str(folder))
    if isinstance(backend, LocalBackend):
        listing = list_images(folder)
        say_left_out(listing)
        if not listing.files:
            raise ValueError(listing.nothing())
        names = listing.names
    else:
        entries = backend.list_dir_or_file(folder, list_dir=False, recursive=True)
        names = sorted(name for name in entries if is_picture_name(name))
        if not names:
            suffixes = ' '.join(PICTURE_SUFFIXES)
            raise ValueError(
                f'folder {shown(folder)} holds no picture (names that end in {suffixes})'
            )
    return [backend.join_path(str(folder), name) for name in names]


def say_left_out(listing: FolderListing) -> None:
    """Log what is no picture in a folder, once for a folder and what is left out of it."""
    if note := listing.note():
        _say_once(f'{shown(listing.folder)}: {note}')


@cache
def _say_once(line: str) -> None:
    print_log(line, 'current', logging.WARNING)


def load_picture(
    path: str | Path,
    background: Sequence[int] = (255, 255, 255),
    backend_args: dict | None = None,
    max_pixels: int | None = None,
) -> np.ndarray:
    """Read a picture as ``read_picture`` does, from wherever it lies.

    Args:
        path (str | Path): File.
        background (Sequence[int]): RGB colour, 0 to 255, behind transparent pixels.
        backend_args (dict, optional): Arguments of MMEngine's file backend. Defaults to None:
            it follows from the path.
        max_pixels (int, optional): Most pixels. Defaults to None: Pillow's limit.

    Returns:
        np.ndarray: Shape (H, W, 3), BGR, uint8, contiguous.

    Raises:
        FileNotFoundError: As ``read_picture``.
        UnusablePicture: As ``read_picture``.
    """
    backend = get_file_backend(str(path), backend_args=backend_args)
    data = None if isinstance(backend, LocalBackend) else backend.get(str(path))
    return read_picture(path, background, data=data, max_pixels=max_pixels)
