"""The pictures of a page to try models: those of a folder, and uploads."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from threading import Lock
from typing import Any

import cv2
import numpy as np

from sesim_mmagic.apis.page import MAX_IMAGE_PIXELS
from sesim_mmagic.utils.images import UnusablePicture, list_images, read_picture
from sesim_mmagic.utils.names import output_names, printable

_UPLOADED = '/uploaded/'  # no name below a folder begins like this


class Recent:
    """The entries that were used last; older ones are forgotten, the newest never.

    Args:
        size (int): Most entries.
        max_bytes (int, optional): Most bytes of them together, where they are arrays. Defaults to
            None: any number.
    """

    def __init__(self, size: int, max_bytes: int | None = None) -> None:
        self.size = size
        self.max_bytes = max_bytes
        self._entries: OrderedDict[Hashable, Any] = OrderedDict()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._entries

    def __getitem__(self, key: Hashable) -> Any:
        return self._entries[key]

    def use(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The entry of ``key``, made if it is not there."""
        if key not in self._entries:
            self._entries[key] = make()
        self._entries.move_to_end(key)
        while len(self._entries) > 1 and self._is_full():
            self._entries.popitem(last=False)
        return self._entries[key]

    def _is_full(self) -> bool:
        if len(self._entries) > self.size:
            return True
        if self.max_bytes is None:
            return False
        return sum(entry.nbytes for entry in self._entries.values()) > self.max_bytes


class Pictures:
    """Pictures that a visitor can choose: those of a folder, and what visitors upload.

    One picture at a time is decoded, so that memory does not grow with the number of visitors.

    Args:
        folder (str | Path, optional): Folder of pictures, those of folders inside it too. Defaults
            to None: uploads alone.
        max_side (int): Pictures with a longer side are scaled down to it. Defaults to 1024.
        max_uploads (int): Uploads that are kept, in memory, and at most ``max_bytes`` of them.
            Defaults to 32.
        max_bytes (int): Defaults to 256 MB.
        max_image_pixels (int): Pictures of more pixels are not decoded. Defaults to 50 million.

    Attributes:
        note (str | None): Which files of the folder are left out.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If there is no picture in it, or ``max_side`` is too small for the feature
            network.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        max_side: int = 1024,
        max_uploads: int = 32,
        max_bytes: int = 256_000_000,
        max_image_pixels: int = MAX_IMAGE_PIXELS,
    ) -> None:
        if max_side < 16:
            raise ValueError(f'the longest side of a picture must be at least 16, got {max_side}')
        if max_image_pixels < 1:
            raise ValueError(f'max_image_pixels must be at least 1, got {max_image_pixels}')
        self.folder = folder
        self.max_side = max_side
        self.max_image_pixels = max_image_pixels
        self.note = None
        if folder is not None:
            listing = list_images(folder)
            if not listing.files:
                raise ValueError(listing.nothing())
            self.note = listing.note()
        self._uploads = Recent(max_uploads, max_bytes)
        self._sizes: dict[str, tuple[int, int]] = {}
        self._lock = Lock()
        self._decoding = Lock()

    def names(self) -> list[str]:
        """Names of the pictures in the folder, as it is now, with the folders inside it."""
        return list(self._files())

    def output_name(self, name: str) -> str:
        """What a translation of a picture is called, without folders and suffix."""
        if name.startswith(_UPLOADED):
            return name.removeprefix(_UPLOADED)
        names = self.names()
        called = dict(zip(names, output_names(names), strict=True))
        return called[name].name if name in called else name

    def upload(self, name: str, data: bytes) -> str:
        """Take a visitor's picture.

        Args:
            name (str): Name of the visitor's file; nothing is opened or written by it.
            data (bytes): Content of the file.

        Returns:
            str: Name for :meth:`read`.

        Raises:
            ValueError: If it is no picture that can be used, or has too many pixels.
        """
        picture, size = self._decoded(name, name, data)
        key = _UPLOADED + hashlib.sha256(data).hexdigest()[:16]
        with self._lock:
            self._uploads.use(key, lambda: picture)
            self._sizes = {k: s for k, s in self._sizes.items() if k in self._uploads}
            self._sizes[key] = size
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
                return self._uploads[name], self._sizes[name]
        file = self._files().get(name)
        if file is None:
            raise ValueError(f"there is no picture '{name}': choose one of those shown")
        return self._decoded(file, name)

    def _files(self) -> dict[str, Path]:
        if self.folder is None:
            return {}
        listing = list_images(self.folder)
        return {printable(name): f for name, f in zip(listing.names, listing.files, strict=True)}

    def _decoded(
        self, path: str | Path, name: str, data: bytes | None = None
    ) -> tuple[np.ndarray, tuple[int, int]]:
        """A picture as it is shown, with its first size; errors name it as the visitor does."""
        with self._decoding:
            try:
                picture = read_picture(path, data=data, max_pixels=self.max_image_pixels)
            except UnusablePicture as error:
                raise ValueError(f"'{name}' cannot be used: {error.reason}") from None
            except OSError as error:
                raise ValueError(f"'{name}' cannot be read: {error.strerror}") from None
            height, width = picture.shape[:2]
            return fit_into(picture, self.max_side), (width, height)


def fit_into(picture: np.ndarray, side: int) -> np.ndarray:
    """Scale a picture (H, W, 3) down until no side is longer than ``side``; never up."""
    height, width = picture.shape[:2]
    share = side / max(height, width)
    if share >= 1:
        return picture
    size = max(1, round(width * share)), max(1, round(height * share))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
