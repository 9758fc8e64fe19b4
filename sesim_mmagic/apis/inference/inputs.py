"""What is to be translated: files, folders, patterns, videos and arrays."""

import glob
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import numpy as np

from sesim_mmagic.utils.images import (
    PICTURE_SUFFIXES,
    FolderListing,
    is_picture_name,
    list_images,
    picture_of_array,
    read_picture_and_alpha,
    suffix_of,
)
from sesim_mmagic.utils.listing import kind_of
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
    notes: list[str] = []
    out = None if out_dir is None else Path(out_dir).resolve()
    found = list(_each(inputs, out, notes.append))
    if not found:
        raise FileNotFoundError('There is nothing to translate.')
    return (found if out is None else _named(found)), notes


class Read(NamedTuple):
    """An input that was read: (H, W, 3), BGR, uint8, and its alpha; frames of a video are not."""

    item: Input
    picture: np.ndarray | None = None
    alpha: np.ndarray | None = None

    def with_alpha(self, translation: np.ndarray) -> np.ndarray:
        """A translation as transparent as its source."""
        return translation if self.alpha is None else np.dstack([translation, self.alpha])


def read_batches(
    inputs: Iterable[Input],
    size: int,
    fail: Callable[[Input, str], None],
    max_image_pixels: int | None = None,
) -> Iterator[list[Read]]:
    """At most ``size`` neighbouring pictures of one size, or one video, at a time.

    ``fail`` is told which input cannot be read, and why.
    """
    batch: list[Read] = []
    for item in inputs:
        try:
            read = Read(item) if item.is_video else Read(item, *item.read(max_image_pixels))
        except (OSError, ValueError) as error:
            fail(item, str(error))
            continue
        shapes = [None if p.picture is None else p.picture.shape for p in (read, *batch)]
        if batch and (len(batch) == size or item.is_video or shapes[0] != shapes[1]):
            yield batch
            batch = []
        batch.append(read)
    if batch:
        yield batch


def _each(inputs: Any, out: Path | None, note: Callable, number: int = 0) -> Iterator[Input]:
    if isinstance(inputs, np.ndarray):
        yield Input(inputs, PurePath(f'{number:06}'))
    elif isinstance(inputs, str | Path):
        yield from _of_path(Path(inputs), out, note)
    elif isinstance(inputs, Iterable):
        for i, item in enumerate(inputs):
            if not isinstance(item, str | Path | np.ndarray):
                raise ValueError(f'A picture is a path or an array, got {type(item).__name__}.')
            yield from _each(item, out, note, i)
    else:
        raise ValueError(f'A picture is a path or an array, got {type(inputs).__name__}.')


def _of_path(path: Path, out: Path | None, note: Callable) -> Iterable[Input]:
    if path.is_file():
        return [Input(path, PurePath(path.name))]
    if path.is_dir():
        _check_apart(path, out)
        exclude = () if out is None else (out,)
        listing = list_images(path, extra_suffixes=VIDEO_SUFFIXES, exclude=exclude)
    elif path.exists():
        raise ValueError(f"'{path}' is neither a regular file nor a folder.")
    elif glob.has_magic(str(path)):
        listing = _matches(path, out)
    else:
        raise FileNotFoundError(f"'{path}' does not exist: give pictures, folders or videos.")
    left_out = listing.note()
    if not listing.files:
        suffixes = ' '.join((*PICTURE_SUFFIXES, *VIDEO_SUFFIXES))
        reason = f'; {left_out}' if left_out else '.'
        raise FileNotFoundError(f"'{path}' holds no picture or video ({suffixes}){reason}")
    if left_out:
        note(f"'{listing.folder}': {left_out}")
    pairs = zip(listing.files, listing.names, strict=True)
    return [Input(file, PurePath(name)) for file, name in pairs]


def _check_apart(folder: Path, out: Path | None) -> None:
    if folder.resolve() == out:
        raise ValueError(
            f"Pictures in '{folder}' would be overwritten by their translations or mixed with "
            'them. Choose another output folder.'
        )


def _matches(pattern: Path, out: Path | None) -> FolderListing:
    """What fits a pattern: each file once, however many links lead to its folder."""
    fixed = next(i for i, part in enumerate(pattern.parts) if glob.has_magic(part))
    root = Path(*pattern.parts[:fixed])
    _check_apart(root, out)
    files: list[Path] = []
    left_out: Counter[str] = Counter()
    seen: set[Path] = set()
    paths = map(Path, glob.glob(str(pattern), recursive=True))
    for path in sorted(paths, key=lambda path: (len(path.parts), path)):
        folder = Path(os.path.realpath(path.parent))
        is_translation = out is not None and folder.is_relative_to(out)  # of an earlier run
        if is_translation or folder / path.name in seen:
            continue
        seen.add(folder / path.name)
        if path.is_dir():
            continue
        if not path.exists():
            left_out['broken link'] += 1
        elif not path.is_file():
            left_out[kind_of(path.stat().st_mode)] += 1
        elif is_picture_name(str(path.relative_to(root)), VIDEO_SUFFIXES):
            files.append(path)
        else:
            left_out[suffix_of(path) or 'without suffix'] += 1
    return FolderListing(root, sorted(files), left_out)


def _named(inputs: list[Input]) -> list[Input]:
    """Each input once, with the name of its translation."""
    first_of: dict[tuple, Input] = {}
    for item in inputs:
        first = first_of.setdefault((item.name, item.is_video), item)
        if first is not item and not _same_file(first, item):
            raise ValueError(
                f"'{first}' and '{item}' would have the same translation: translate them into two "
                'folders, one after the other.'
            )
    names: dict[Input, PurePath] = {}
    for is_video in (False, True):  # their translations have different suffixes
        group = [item for item in first_of.values() if item.is_video == is_video]
        names.update(zip(group, output_names([item.name for item in group]), strict=True))
    return [replace(item, name=names[item]) for item in first_of.values()]


def _same_file(left: Input, right: Input) -> bool:
    first, second = left.content, right.content
    return isinstance(first, Path) and isinstance(second, Path) and first.samefile(second)
