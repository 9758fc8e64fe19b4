"""Picture files of data sets, checked before the work instead of when their turn comes."""

import json
import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.logging import print_log
from rich.console import Console
from rich.progress import track

from sesim_mmagic.utils.files import write_atomically
from sesim_mmagic.utils.images import (
    MAX_PIXELS,
    UnusablePicture,
    check_picture,
    read_picture,
    shown,
)

#: File of a work directory that holds what was checked.
MEMORY = 'checked_pictures.json'
#: Data sets of up to as many pictures are decoded; of larger ones the headers are read.
MOST_DECODED = 5000
_WORKERS = min(8, os.cpu_count() or 1)
# About 15 seconds of JPEGs; what exceeds it is not decoded.
_MOST_PIXELS = 1_500_000_000 * _WORKERS
# Larger pictures are decoded one at a time: each takes several times 3 bytes a pixel.
_LARGE = 2**25
_ONE_LARGE = Lock()
_MOST_LINES = 1000


class BrokenPictures(ValueError):
    """Pictures of a data set that cannot be used, all of them.

    Attributes:
        broken (dict[str, str]): What is wrong, by path.
    """

    def __init__(self, broken: Mapping[str, str]) -> None:
        self.broken = dict(broken)
        lines = [f'  {shown(path)}: {reason}' for path, reason in self.broken.items()]
        if len(lines) > _MOST_LINES:
            lines[_MOST_LINES:] = [f'  ... and {len(lines) - _MOST_LINES} more']
        count = '1 picture' if len(self.broken) == 1 else f'{len(self.broken)} pictures'
        text = '\n'.join(lines)
        super().__init__(
            f'{count} cannot be used; replace, convert or remove what is listed here, or leave it '
            f'out with --skip-broken (skip_broken=True of data sets):\n{text}'
        )


class _Entry(NamedTuple):
    """A good file as it was when it was checked."""

    size: int
    time: int
    pixels: int
    decoded: bool


class _Memory:
    """Files that were good, in this process and, with a work directory, in earlier ones.

    Bad files are not kept: another version of a library may read them.
    """

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._file: Path | None = None

    def keep_in(self, work_dir: str | Path) -> None:
        """Go on with what a work directory remembers, and write there from now on."""
        self._file = Path(work_dir, MEMORY)
        try:
            noted = json.loads(self._file.read_text())
            self._entries.update((path, _Entry(*entry)) for path, entry in noted.items())
        except (OSError, ValueError, TypeError, AttributeError):
            return  # there is none, or it is damaged: everything is checked anew

    def find(self, path: str) -> _Entry | None:
        """What is known of a file that has not changed since."""
        entry = self._entries.get(os.path.abspath(path))
        try:
            return entry if entry and entry[:2] == _size_and_time(path) else None
        except OSError:
            return None

    def note(self, path: str, entry: _Entry) -> None:
        self._entries[os.path.abspath(path)] = entry

    def save(self) -> None:
        if self._file is not None and is_main_process():
            write_atomically(self._file, json.dumps(self._entries, separators=(',', ':')))


_memory = _Memory()


def remember_in(work_dir: str | Path) -> None:
    """Go on with what a work directory notes of earlier checks, and note there from now on."""
    _memory.keep_in(work_dir)


def _size_and_time(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def find_broken(paths: Sequence[str], max_pixels: int | None = None) -> dict[str, str]:
    """Check picture files: all headers, and their pixels too unless there are many.

    A file that was good is not checked again while its size and time of change stay the same;
    :func:`remember_in` says where that is noted beyond this process.

    Args:
        paths (Sequence[str]): Files; only those on this machine are looked at.
        max_pixels (int, optional): Most pixels of a picture. Defaults to None: Pillow's limit.

    Returns:
        dict[str, str]: What is wrong, by path, in the order of the paths.
    """
    begin = time.monotonic()
    limit = MAX_PIXELS if max_pixels is None else max_pixels
    local = [
        path for path in dict.fromkeys(paths) if isinstance(get_file_backend(path), LocalBackend)
    ]
    known = {path: _memory.find(path) for path in local}
    new = [path for path, entry in known.items() if not entry or entry.pixels > limit]
    broken = _check('Headers of pictures', new, limit, decode=False)
    entries = {path: _memory.find(path) for path in known if path not in broken}
    undecoded = {path: e.pixels for path, e in entries.items() if e and not e.decoded}
    chosen = _to_decode(undecoded) if len(known) <= MOST_DECODED else []
    broken |= _check('Decoding pictures', chosen, limit, decode=True)
    if new or chosen:
        _memory.save()
        _say(len(known), len(undecoded) - len(chosen), time.monotonic() - begin)
    return {path: broken[path] for path in known if path in broken}


def _to_decode(pixels: Mapping[str, int]) -> list[str]:
    """The first files, as many as are decoded in seconds."""
    totals = accumulate(pixels.values())
    return [path for path, total in zip(pixels, totals, strict=True) if total <= _MOST_PIXELS]


def _check(title: str, paths: Sequence[str], limit: int, decode: bool) -> dict[str, str]:
    """Note which files are good; what is wrong with the others, by path."""

    def reason(path: str) -> str | None:
        try:
            size_and_time = _size_and_time(path)
            width, height = check_picture(path, max_pixels=limit)
            if decode:
                with _ONE_LARGE if width * height >= _LARGE else nullcontext():
                    read_picture(path, max_pixels=limit)
        except UnusablePicture as error:
            return error.reason
        except OSError as error:
            return error.strerror or str(error)
        _memory.note(path, _Entry(*size_and_time, width * height, decode))
        return None

    show = is_main_process() and sys.stderr.isatty() and len(paths) > 100
    # Most of the decoding does not hold Python's lock.
    with ThreadPoolExecutor(_WORKERS) as pool:
        reasons = track(
            pool.map(reason, paths),
            title,
            total=len(paths),
            transient=True,
            disable=not show,
            console=Console(stderr=True),
        )
        return {path: text for path, text in zip(paths, reasons, strict=True) if text}


def _say(checked: int, undecoded: int, seconds: float) -> None:
    if undecoded or seconds > 1:
        rest = f'; of {undecoded} the header alone, decoding them takes long' if undecoded else ''
        print_log(f'{checked} pictures checked in {seconds:.0f} s{rest}', 'current', logging.INFO)
