"""Picture files of data sets, checked before the work instead of when their turn comes."""

import json
import logging
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from threading import Lock

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


class _Memory:
    """Files that were good, in this process and, with a work directory, in earlier ones.

    Bad files are not kept: another version of a library may read them.

    Attributes:
        files (dict): By absolute path its size and time of change when it was checked, its pixels
            and whether they were decoded.
        path (Path | None): Where that is noted.
    """

    def __init__(self) -> None:
        self.files: dict[str, list[int]] = {}
        self.path: Path | None = None

    def pixels(self, file: str, decoded: bool = False) -> int | None:
        """Pixels of a file that was good, and decoded if asked for, and has not changed since."""
        entry = self.files.get(os.path.abspath(file))
        try:
            if entry and entry[:2] == _size_and_time(file) and entry[3] >= decoded:
                return entry[2]
        except OSError:
            pass  # it is gone
        return None

    def save(self) -> None:
        if self.path is not None and is_main_process():
            write_atomically(
                self.path, json.dumps(self.files, separators=(',', ':'), sort_keys=True)
            )


_memory = _Memory()


def remember_in(work_dir: str | Path) -> None:
    """Go on with what a work directory notes of earlier checks, and note there from now on."""
    _memory.path = Path(work_dir, MEMORY)
    try:
        noted = json.loads(_memory.path.read_text())
        _memory.files.update((path, [*map(int, entry)]) for path, entry in noted.items())
    except (OSError, ValueError, TypeError, AttributeError):
        return  # there is none, or it is damaged: everything is checked anew


def _size_and_time(path: str) -> list[int]:
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns]


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
    begin, limit = time.monotonic(), MAX_PIXELS if max_pixels is None else max_pixels
    local = [p for p in dict.fromkeys(paths) if isinstance(get_file_backend(p), LocalBackend)]
    new = [p for p in local if not 0 < (_memory.pixels(p) or 0) <= limit]
    broken = _check('Headers of pictures', new, limit, decode=False)
    undecoded = [p for p in local if p not in broken and _memory.pixels(p, decoded=True) is None]
    chosen, total = [], 0
    for path in undecoded if len(local) <= MOST_DECODED else ():
        total += _memory.pixels(path) or 0
        if total <= _MOST_PIXELS:
            chosen.append(path)
    broken |= _check('Decoding pictures', chosen, limit, decode=True)
    if new or chosen:
        _memory.save()
        seconds, rest = time.monotonic() - begin, len(undecoded) - len(chosen)
        if rest or seconds > 1:
            text = f'{len(local)} pictures checked in {seconds:.0f} s'
            text += f'; of {rest} the header alone, decoding them takes long' if rest else ''
            print_log(text, 'current', logging.INFO)
    return {path: broken[path] for path in local if path in broken}


def _check(title: str, paths: Sequence[str], limit: int, decode: bool) -> dict[str, str]:
    """Note which files are good; what is wrong with the others, by path."""

    def reason(path: str) -> str | None:
        try:
            size_and_time = _size_and_time(path)
            pixels = _memory.pixels(path) if decode else None
            pixels = pixels or math.prod(check_picture(path, max_pixels=limit))
            if decode:
                with _ONE_LARGE if pixels >= _LARGE else nullcontext():
                    read_picture(path, max_pixels=limit)
        except UnusablePicture as error:
            return error.reason
        except OSError as error:
            return error.strerror or str(error)
        _memory.files[os.path.abspath(path)] = [*size_and_time, pixels, int(decode)]
        return None

    is_shown = is_main_process() and sys.stderr.isatty() and len(paths) > 100
    # Most of the decoding does not hold Python's lock.
    with ThreadPoolExecutor(_WORKERS) as pool:
        reasons = pool.map(reason, paths)
        shown_reasons = track(
            reasons,
            title,
            total=len(paths),
            transient=True,
            disable=not is_shown,
            console=Console(stderr=True),
        )
        return {path: text for path, text in zip(paths, shown_reasons, strict=True) if text}
