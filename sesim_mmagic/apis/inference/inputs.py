"""What is to be translated: files, folders, patterns, videos and arrays."""

import glob
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import numpy as np

from sesim_mmagic.apis.inference.ahead import ahead
from sesim_mmagic.utils.images import (
    PICTURE_SUFFIXES,
    FolderListing,
    check_array,
    list_images,
    list_matches,
    picture_of_array,
    read_picture_and_alpha,
    suffix_of,
)
from sesim_mmagic.utils.names import output_names

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
        """Whether the name of the file ends as that of a video."""
        return isinstance(self.content, Path) and suffix_of(self.content) in VIDEO_SUFFIXES

    def read(self, max_image_pixels: int | None = None) -> tuple[np.ndarray, np.ndarray | None]:
        """The picture, (H, W, 3), BGR, uint8, and its alpha, (H, W), uint8, or None.

        Raises:
            OSError: The file is gone or must not be read.
            ValueError: It is no picture, or one of more than ``max_image_pixels`` pixels.
        """
        if isinstance(self.content, np.ndarray):
            return picture_of_array(self.content)
        return read_picture_and_alpha(self.content, max_pixels=max_image_pixels)


class Read(NamedTuple):
    """A picture that was read: (H, W, 3), BGR, uint8, and its alpha."""

    item: Input
    picture: np.ndarray
    alpha: np.ndarray | None

    def with_alpha(self, translation: np.ndarray) -> np.ndarray:
        """A translation as transparent as its source."""
        return translation if self.alpha is None else np.dstack([translation, self.alpha])


def find_inputs(inputs: Any, out_dir: str | Path | None = None) -> tuple[list[Input], list[str]]:
    """Find what is to be translated, in the order given; inside folders in that of the names.

    Args:
        inputs (str | Path | np.ndarray | Iterable): One or several of: a file; a folder, whose
            pictures and videos are taken by their suffixes, those of folders inside it as well
            (see :func:`~sesim_mmagic.utils.images.list_images`); a pattern (``**`` crosses
            folders); an array, grey (H, W), BGR (H, W, 3) or BGRA (H, W, 4), uint8 or uint16.
        out_dir (str | Path, optional): Folder that translations are written to, each under its
            own name. What lies inside it is not found in folders and patterns. Defaults to None:
            nothing is written.

    Returns:
        tuple[list[Input], list[str]]: At least one input, and a line for each folder and pattern
        of which files were left out. Names are those of
        :func:`~sesim_mmagic.utils.names.output_names`, of paths below an input folder, or below
        the part of a pattern that is fixed; a file that is named twice comes once.

    Raises:
        FileNotFoundError: A file or folder does not exist, or there is nothing to translate.
        ValueError: An input is something else, or two would have the same translation.
    """
    if isinstance(inputs, str | Path | np.ndarray) or not isinstance(inputs, Iterable):
        inputs = [inputs]
    out = None if out_dir is None else Path(out_dir).resolve()
    found: list[Input] = []
    notes: list[str] = []
    for number, item in enumerate(inputs):
        if isinstance(item, np.ndarray):
            found.append(Input(item, PurePath(f'{number:06}')))
            try:
                check_array(item)
            except ValueError as error:
                raise ValueError(f'{found[-1]}: {error}') from error
        elif not isinstance(item, str | Path):
            raise ValueError(f'A picture is a path or an array, got {type(item).__name__}.')
        elif Path(item).is_file():
            found.append(Input(Path(item), PurePath(Path(item).name)))
        else:
            listing = _listed(Path(item), out)
            names = map(PurePath, listing.names)
            found += map(Input, listing.files, names)
            if note := listing.note():
                notes.append(f"'{listing.folder}': {note}")
    if not found:
        raise FileNotFoundError('There is nothing to translate.')
    return (found if out is None else _named(found)), notes


def read_batches(
    inputs: Iterable[Input],
    size: int,
    fail: Callable[[Input, str], None],
    threads: Executor,
    max_image_pixels: int | None = None,
) -> Iterator[list[Read]]:
    """At most ``size`` neighbouring pictures of one size at a time.

    ``threads`` read as many ahead. ``fail`` is told which input cannot be read, and why.
    """
    batch: list[Read] = []
    for item, content in ahead(threads, lambda item: item.read(max_image_pixels), inputs, size):
        try:
            read = Read(item, *content.result())
        except (OSError, ValueError) as error:
            fail(item, str(error))
            continue
        if batch and (len(batch) == size or read.picture.shape != batch[0].picture.shape):
            yield batch
            batch = []
        batch.append(read)
    if batch:
        yield batch


def _listed(path: Path, out: Path | None) -> FolderListing:
    """What lies in a folder or fits a pattern, at least one file."""
    if path.is_dir():
        listing = list_images(path, extra_suffixes=VIDEO_SUFFIXES, exclude=[out] if out else [])
    elif path.exists():
        raise ValueError(f"'{path}' is neither a regular file nor a folder.")
    elif glob.has_magic(str(path)):
        listing = list_matches(path, extra_suffixes=VIDEO_SUFFIXES, exclude=out)
    else:
        raise FileNotFoundError(f"'{path}' does not exist: give pictures, folders or videos.")
    if listing.folder.resolve() == out:
        raise ValueError(
            f"Pictures in '{listing.folder}' would be overwritten by their translations or mixed "
            'with them. Choose another output folder.'
        )
    if not listing.files:
        suffixes, note = ' '.join((*PICTURE_SUFFIXES, *VIDEO_SUFFIXES)), listing.note()
        reason = f'; {note}' if note else '.'
        raise FileNotFoundError(f"'{path}' holds no picture or video ({suffixes}){reason}")
    return listing


def _named(inputs: list[Input]) -> list[Input]:
    """Each input once, with the name of its translation."""
    named: dict[tuple[PurePath, bool], Input] = {}
    for item in inputs:
        first = named.setdefault((item.name, item.is_video), item)
        files = [each.content for each in (first, item) if isinstance(each.content, Path)]
        if first is not item and not (len(files) == 2 and files[0].samefile(files[1])):
            raise ValueError(
                f"'{first}' and '{item}' would have the same translation: translate them into two "
                'folders, one after the other.'
            )
    for is_video in (False, True):  # their translations have different suffixes
        keys = [key for key in named if key[1] == is_video]
        for key, name in zip(keys, output_names([key[0] for key in keys]), strict=True):
            named[key] = replace(named[key], name=name)
    return list(named.values())
