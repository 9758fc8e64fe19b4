"""What is to be translated: files, folders, patterns, videos and arrays."""

import glob
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import NamedTuple

import numpy as np

from sesim_mmagic.utils.images import picture_of_array, read_picture_and_alpha

PICTURE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.webp', '.ppm', '.pgm')
VIDEO_SUFFIXES = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg')


@dataclass(frozen=True, eq=False)
class Input:
    """One picture or video that is to be translated.

    Args:
        content (Path | np.ndarray): File, or pixels as ``picture_of_array`` takes them.
        name (PurePath): Where its translation goes below the output folder, without a suffix.
    """

    content: Path | np.ndarray
    name: PurePath

    def __str__(self) -> str:
        return f'array {self.name}' if isinstance(self.content, np.ndarray) else str(self.content)

    @property
    def is_video(self) -> bool:
        return isinstance(self.content, Path) and self.content.suffix.lower() in VIDEO_SUFFIXES

    def read(self) -> tuple[np.ndarray, np.ndarray | None]:
        """The picture, (H, W, 3), BGR, uint8, and its alpha, (H, W), uint8, or None.

        Raises:
            OSError: The file is gone or must not be read.
            ValueError: It is no picture.
        """
        if isinstance(self.content, np.ndarray):
            return picture_of_array(self.content)
        return read_picture_and_alpha(self.content)

    def fingerprint(self) -> list:
        """What tells this content from another: of a file its place, size and time of change."""
        if isinstance(self.content, np.ndarray):
            pixels = np.ascontiguousarray(self.content)
            return [str(pixels.shape), hashlib.sha256(pixels.tobytes()).hexdigest()]
        place = os.path.abspath(self.content)
        try:
            stat = self.content.stat()
        except OSError:
            return [place, None, None]  # reading it will tell what is wrong
        return [place, stat.st_size, stat.st_mtime_ns]


def find_inputs(inputs, out_dir=None) -> list[Input]:
    """Find what is to be translated, in the order given; inside folders in that of the names.

    Args:
        inputs (str | Path | np.ndarray | Iterable): One or several of: a file; a folder, whose
            pictures and videos are taken by their suffixes, those of folders inside it as well;
            a pattern (``**`` crosses folders); an array, grey (H, W), BGR (H, W, 3) or BGRA
            (H, W, 4), uint8 or uint16. Hidden files are not looked for.
        out_dir (str | Path, optional): Folder that translations are written to, each under its
            own name. What lies inside it is not found in folders and patterns. Defaults to None:
            nothing is written.

    Returns:
        list[Input]: At least one. Names keep the folders below an input folder, or below the
        part of a pattern that is fixed; a file that is named twice comes once.

    Raises:
        FileNotFoundError: A file or folder does not exist, or there is nothing to translate.
        ValueError: An input is something else, or two would be written to the same file.
    """
    found = list(each_input(inputs, None if out_dir is None else Path(out_dir).resolve()))
    if not found:
        raise FileNotFoundError('There is nothing to translate.')
    if out_dir is None:
        return found
    kept: dict[tuple, Input] = {}
    for one in found:
        key = one.name, one.is_video
        first = kept.setdefault(key, one)
        if first is not one and not _same_file(first, one):
            raise ValueError(
                f"'{first}' and '{one}' would both be written to '{one.name}'. Rename one, or "
                'translate them into different folders.'
            )
    return list(kept.values())


class Read(NamedTuple):
    """An input that was read; of a video the frames are not."""

    one: Input
    #: (H, W, 3), BGR, uint8.
    picture: np.ndarray | None = None
    #: (H, W), uint8; None where there is no transparency.
    alpha: np.ndarray | None = None

    def with_alpha(self, translation: np.ndarray) -> np.ndarray:
        """A translation as transparent as its source."""
        return translation if self.alpha is None else np.dstack([translation, self.alpha])


def read_batches(
    inputs: Iterable[Input], size: int, fail: Callable[[Input, str], None]
) -> Iterator[list[Read]]:
    """Read inputs in their order.

    Args:
        inputs (Iterable[Input]): The inputs.
        size (int): Most pictures that come together.
        fail (Callable): Is told which input cannot be read, and why.

    Yields:
        list[Read]: Neighbouring pictures of one size, or one video.
    """
    batch: list[Read] = []
    for one in inputs:
        try:
            read = Read(one) if one.is_video else Read(one, *one.read())
        except (OSError, ValueError) as error:
            fail(one, str(error))
            continue
        if batch and (len(batch) == size or not _fit_together(batch[0], read)):
            yield batch
            batch = []
        batch.append(read)
    if batch:
        yield batch


def list_pictures(path) -> list[Path]:
    """List the pictures of a folder in the order of their names, or the one picture of a file.

    Args:
        path (str | Path): File, or folder whose files with a suffix of ``PICTURE_SUFFIXES``
            are taken; folders inside it are not entered.

    Returns:
        list[Path]: At least one path.

    Raises:
        FileNotFoundError: There is no such file or folder, or no picture in it.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f"'{path}' does not exist: give a picture or a folder of them.")
    found = sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES)
    if not found:
        raise FileNotFoundError(f"Folder '{path}' holds no picture ({' '.join(PICTURE_SUFFIXES)}).")
    return found


def each_input(inputs, out=None, number=0) -> Iterator[Input]:
    """The inputs of :func:`find_inputs`, one after the other as an iterable gives them."""
    if isinstance(inputs, np.ndarray):
        yield Input(inputs, PurePath(f'{number:06}'))
    elif isinstance(inputs, (str, Path)):
        yield from _of_path(Path(inputs), out)
    elif isinstance(inputs, Iterable):
        for i, one in enumerate(inputs):
            if not isinstance(one, (str, Path, np.ndarray)):
                raise ValueError(f'A picture is a path or an array, got {type(one).__name__}.')
            yield from each_input(one, out, i)
    else:
        raise ValueError(f'A picture is a path or an array, got {type(inputs).__name__}.')


def _of_path(path, out):
    if path.is_file():
        yield Input(path, PurePath(path.stem))
    elif path.is_dir():
        _check_apart(path, out)
        files = _below(path, out)
        if not files:
            raise FileNotFoundError(
                f"Folder '{path}' holds no picture or video "
                f'({" ".join((*PICTURE_SUFFIXES, *VIDEO_SUFFIXES))}).'
            )
        yield from _named(files, path)
    elif glob.has_magic(str(path)):
        fixed = next(i for i, part in enumerate(path.parts) if glob.has_magic(part))
        root = Path(*path.parts[:fixed])
        _check_apart(root, out)
        matches = (Path(match) for match in sorted(glob.glob(str(path), recursive=True)))
        files = [match for match in matches if match.is_file() and _is_found(match, out)]
        if not files:
            raise FileNotFoundError(f"No picture or video fits '{path}'.")
        yield from _named(files, root)
    else:
        raise FileNotFoundError(f"'{path}' does not exist: give pictures, folders or videos.")


def _check_apart(folder, out):
    if folder.resolve() == out:
        raise ValueError(
            f"Pictures in '{folder}' would be overwritten by their translations or mixed with "
            'them. Choose another output folder.'
        )


def _below(folder, out):
    """Pictures and videos of a folder and those inside it, in the order of their names."""
    found = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith('.'))
        found += [file for file in (Path(root, name) for name in names) if _is_found(file, out)]
    return sorted(found)


def _is_found(file, out):
    if file.name.startswith('.') or file.suffix.lower() not in (*PICTURE_SUFFIXES, *VIDEO_SUFFIXES):
        return False
    # Translations of an earlier run are no sources.
    return out is None or not file.parent.resolve().is_relative_to(out)


def _named(files, root):
    return (Input(file, file.relative_to(root).with_suffix('')) for file in files)


def _same_file(left, right):
    contents = left.content, right.content
    return all(isinstance(c, Path) for c in contents) and left.content.samefile(right.content)


def _fit_together(left, right):
    if left.picture is None or right.picture is None:
        return False
    return left.picture.shape == right.picture.shape
