"""The pictures of a page to try models: those of a folder, and uploads."""

import hashlib
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from threading import Lock
from typing import Any

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from sesim_mmagic.apis.inference.inputs import list_pictures
from sesim_mmagic.utils.images import read_picture

# What a visitor may make us decode: 150 MB of pixels.
_MAX_PIXELS = 50_000_000
_UPLOADED = 'uploaded/'  # no file of a folder has a slash in its name


class Recent(OrderedDict):
    """The entries that were used last, ``size`` of them; older ones are forgotten."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def use(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The entry of ``key``, made if it is not there."""
        if key not in self:
            self[key] = make()
        self.move_to_end(key)
        while len(self) > self.size:
            self.popitem(last=False)
        return self[key]


class Pictures:
    """Pictures that a visitor can choose: those of a folder, and what visitors upload.

    Args:
        folder (str | Path, optional): Folder of pictures. Defaults to None: uploads alone.
        max_side (int): Pictures with a longer side are scaled down to it. Defaults to 1024.
        max_uploads (int): Uploads that are kept, in memory. Defaults to 32.

    Raises:
        FileNotFoundError: If there is no such folder, or no picture in it.
        ValueError: If ``max_side`` is too small for the feature network.
    """

    def __init__(
        self, folder: str | Path | None = None, max_side: int = 1024, max_uploads: int = 32
    ) -> None:
        if max_side < 16:
            raise ValueError(f'the longest side of a picture must be at least 16, got {max_side}')
        if folder is not None:
            if not Path(folder).is_dir():
                raise FileNotFoundError(f"'{folder}' is no folder: give a folder of pictures.")
            list_pictures(folder)
        self.folder = folder
        self.max_side = max_side
        self._uploads = Recent(max_uploads)
        self._lock = Lock()

    def names(self) -> list[str]:
        """Names of the pictures in the folder, as it is now."""
        return list(self._files())

    def upload(self, name: str, data: bytes) -> str:
        """Take a visitor's picture.

        Args:
            name (str): Name of the visitor's file; nothing is opened or written by it.
            data (bytes): Content of the file. It is written to a temporary folder while it is
                decoded.

        Returns:
            str: Name for :meth:`read`.

        Raises:
            ValueError: If it is no picture that can be used, or has too many pixels.
        """
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, 'upload')
            file.write_bytes(data)
            found = self._read_file(file, name)
        key = _UPLOADED + hashlib.sha256(data).hexdigest()[:16]
        with self._lock:
            self._uploads.use(key, lambda: found)
        return key

    def read(self, name: str) -> tuple[np.ndarray, tuple[int, int]]:
        """Read a picture.

        Args:
            name (str): One of :meth:`names`, or what :meth:`upload` gave. Nothing else is opened.

        Returns:
            tuple[np.ndarray, tuple[int, int]]: The picture (H, W, 3), BGR, uint8, and its width
            and height before it was scaled down.

        Raises:
            ValueError: If there is no such picture, or it cannot be used.
        """
        if name.startswith(_UPLOADED):
            with self._lock:
                if name not in self._uploads:
                    raise ValueError('this upload is no longer kept: upload the picture again')
                return self._uploads[name]
        file = self._files().get(name)
        if file is None:
            raise ValueError(f"there is no picture '{name}': choose one of those shown")
        return self._read_file(file, name)

    def _files(self) -> dict[str, Path]:
        return {} if self.folder is None else {p.name: p for p in list_pictures(self.folder)}

    def _read_file(self, file: Path, name: str) -> tuple[np.ndarray, tuple[int, int]]:
        _check_header(file, name)
        try:
            picture = read_picture(file)
        except ValueError as error:
            # The message names our file, the visitor knows another.
            raise ValueError(f"'{name}' cannot be used: {error.__cause__}") from error
        height, width = picture.shape[:2]
        return fit_into(picture, self.max_side), (width, height)


def _check_header(file: Path, name: str) -> None:
    """Refuse what is no picture or would fill the memory, before anything is decoded."""
    try:
        with Image.open(file) as picture:
            width, height = picture.size
    except UnidentifiedImageError:
        raise ValueError(f"'{name}' is no picture of a format that can be read") from None
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise ValueError(f"'{name}' cannot be used: {error}") from error
    if width * height > _MAX_PIXELS:
        raise ValueError(
            f"'{name}' has {width} x {height} pixels; pictures of up to "
            f'{_MAX_PIXELS // 1_000_000} million are taken'
        )


def fit_into(picture: np.ndarray, side: int) -> np.ndarray:
    """Scale a picture (H, W, 3) down until no side is longer than ``side``; never up."""
    height, width = picture.shape[:2]
    share = side / max(height, width)
    if share >= 1:
        return picture
    size = max(1, round(width * share)), max(1, round(height * share))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
