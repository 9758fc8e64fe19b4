"""What is to be translated: files, folders, patterns, videos and arrays."""

import errno
import glob
import hashlib
import os
import stat
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
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
# Linux takes 4096 bytes with the end; the suffix and a temporary ending are to fit as well.
_LONGEST_PATH = 4050


@dataclass(frozen=True, eq=False)
class Input:
    """One picture or video that is to be translated.

    Args:
        content (Path | np.ndarray): File, or pixels as ``picture_of_array`` takes them.
        name (PurePath): Where its translation goes below the output folder, without a suffix.
        problem (str, optional): Why it cannot be translated, where that is known before it is
            read. Defaults to None.
    """

    content: Path | np.ndarray
    name: PurePath
    problem: str | None = None

    def __str__(self) -> str:
        return f'array {self.name}' if isinstance(self.content, np.ndarray) else str(self.content)

    @property
    def is_video(self) -> bool:
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

    def fingerprint(self) -> list:
        """What tells this content from another: of a file its place, size and time of change."""
        if isinstance(self.content, np.ndarray):
            pixels = np.ascontiguousarray(self.content)
            return [str(pixels.shape), hashlib.sha256(pixels.tobytes()).hexdigest()]
        place = os.path.abspath(self.content)
        try:
            status = self.content.stat()
        except OSError:
            return [place, None, None]  # reading it will tell what is wrong
        return [place, status.st_size, status.st_mtime_ns]


class FoundInputs(list[Input]):
    """What is to be translated, and what is not.

    Args:
        inputs (Iterable[Input]): What is to be translated.
        notes (Sequence[str]): A line for each folder and pattern of which files were left out.
    """

    def __init__(self, inputs: Iterable[Input], notes: Sequence[str]) -> None:
        super().__init__(inputs)
        self.notes = list(notes)


def find_inputs(inputs: Any, out_dir: str | Path | None = None) -> FoundInputs:
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
        FoundInputs: At least one input. Names are those of
        :func:`~sesim_mmagic.utils.names.output_names`, of paths below an input folder, or below
        the part of a pattern that is fixed; a file that is named twice comes once. An input whose
        translation would get the place of another's has a ``problem``.

    Raises:
        FileNotFoundError: A file or folder does not exist, or there is nothing to translate.
        ValueError: An input is something else.
    """
    notes: list[str] = []
    out = None if out_dir is None else Path(out_dir).resolve()
    found = list(each_input(inputs, out, notes.append))
    if not found:
        raise FileNotFoundError('There is nothing to translate.')
    return FoundInputs(found if out is None else _named(found, out), notes)


def _named(inputs: list[Input], out: Path) -> list[Input]:
    """Each input once, with the name of its translation."""
    kept: list[Input] = []
    first_of: dict[tuple, Input] = {}
    for one in inputs:
        first = first_of.setdefault((one.name, one.is_video), one)
        if first is one:
            kept.append(one)
        elif not _same_file(first, one):
            reason = f"its translation would replace that of '{first}'"
            kept.append(replace(one, problem=f'{reason}: translate it into another folder'))
    names: dict[tuple, PurePath] = {}
    for is_video in (False, True):  # their translations have different suffixes
        places = [one.name for one in kept if one.is_video == is_video]
        pairs = zip(places, output_names(places), strict=True)
        names.update(((place, is_video), name) for place, name in pairs)
    return [_placed(one, names[one.name, one.is_video], out) for one in kept]


def _placed(one: Input, name: PurePath, out: Path) -> Input:
    size = len(os.fsencode(out / name))
    problem = one.problem
    if size > _LONGEST_PATH:
        problem = f'the path of its translation would have {size} bytes, too many for a file'
    return replace(one, name=name, problem=problem)


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
    inputs: Iterable[Input],
    size: int,
    fail: Callable[[Input, str], None],
    max_image_pixels: int | None = None,
) -> Iterator[list[Read]]:
    """Read inputs in their order.

    Args:
        inputs (Iterable[Input]): The inputs.
        size (int): Most pictures that come together.
        fail (Callable): Is told which input cannot be translated, and why.
        max_image_pixels (int, optional): Most pixels of a picture. Defaults to None: Pillow's
            limit.

    Yields:
        list[Read]: Neighbouring pictures of one size, or one video.
    """
    batch: list[Read] = []
    for one in inputs:
        if one.problem is not None:
            fail(one, one.problem)
            continue
        try:
            read = Read(one) if one.is_video else Read(one, *one.read(max_image_pixels))
        except (OSError, ValueError) as error:
            fail(one, str(error))
            continue
        if batch and (len(batch) == size or not _fit_together(batch[0], read)):
            yield batch
            batch = []
        batch.append(read)
    if batch:
        yield batch


def each_input(
    inputs: Any,
    out: Path | None = None,
    note: Callable[[str], None] = warnings.warn,
    number: int = 0,
) -> Iterator[Input]:
    """The inputs of :func:`find_inputs`, one after the other as an iterable gives them.

    Their names are paths below what was given, with suffixes. ``note`` is told what is left out.
    """
    if isinstance(inputs, np.ndarray):
        yield Input(inputs, PurePath(f'{number:06}'))
    elif isinstance(inputs, (str, Path)):
        yield from _of_path(Path(inputs), out, note)
    elif isinstance(inputs, Iterable):
        for i, one in enumerate(inputs):
            if not isinstance(one, (str, Path, np.ndarray)):
                raise ValueError(f'A picture is a path or an array, got {type(one).__name__}.')
            yield from each_input(one, out, note, i)
    else:
        raise ValueError(f'A picture is a path or an array, got {type(inputs).__name__}.')


def _of_path(path, out, note):
    if path.is_file():
        yield Input(path, PurePath(path.name))
    elif path.is_dir():
        _check_apart(path, out)
        exclude = () if out is None else (out,)
        yield from _of_listing(
            list_images(path, extra_suffixes=VIDEO_SUFFIXES, exclude=exclude), note
        )
    elif path.exists():
        raise ValueError(f"'{path}' is neither a regular file nor a folder.")
    elif glob.has_magic(str(path)):
        yield from _of_listing(_matches(path, out), note)
    else:
        raise FileNotFoundError(f"'{path}' does not exist: give pictures, folders or videos.")


def _of_listing(listing, note):
    if not listing.files:
        left_out = listing.note()
        raise FileNotFoundError(
            f"'{listing.folder}' holds no picture or video "
            f'({" ".join((*PICTURE_SUFFIXES, *VIDEO_SUFFIXES))})'
            + (f'; {left_out}' if left_out else '.')
        )
    if listing.note():
        note(f"'{listing.folder}': {listing.note()}")
    return (
        Input(file, PurePath(name)) for file, name in zip(listing.files, listing.names, strict=True)
    )


def _check_apart(folder, out):
    if folder.resolve() == out:
        raise ValueError(
            f"Pictures in '{folder}' would be overwritten by their translations or mixed with "
            'them. Choose another output folder.'
        )


def _matches(pattern, out):
    """What fits a pattern: each file once, however many links lead to its folder."""
    fixed = next(i for i, part in enumerate(pattern.parts) if glob.has_magic(part))
    root = Path(*pattern.parts[:fixed])
    _check_apart(root, out)
    places, left_out = {}, Counter()
    found = map(Path, glob.glob(str(pattern), recursive=True))
    for path in sorted(found, key=lambda path: (len(path.parts), path)):
        folder = Path(os.path.realpath(path.parent))
        # Translations of an earlier run are no sources.
        if out is None or not folder.is_relative_to(out):
            places.setdefault(folder / path.name, path)
    files = []
    for path in places.values():
        kind = _kind(path)
        if kind == '' and is_picture_name(path.relative_to(root), VIDEO_SUFFIXES):
            files.append(path)
        elif kind is not None:
            left_out[kind or suffix_of(path) or 'without suffix'] += 1
    if not files:
        raise FileNotFoundError(f"No picture or video fits '{pattern}'.")
    return FolderListing(root, sorted(files), left_out)


def _kind(path):
    """What a path leads to: '' a regular file, None a folder or an endless loop of links."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return None if error.errno == errno.ELOOP else 'broken link'
    if stat.S_ISREG(mode):
        return ''
    return None if stat.S_ISDIR(mode) else kind_of(mode)


def _same_file(left, right):
    contents = left.content, right.content
    return all(isinstance(c, Path) for c in contents) and left.content.samefile(right.content)


def _fit_together(left, right):
    if left.picture is None or right.picture is None:
        return False
    return left.picture.shape == right.picture.shape
