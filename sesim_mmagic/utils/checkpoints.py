"""Checkpoints: the one reader of them, what it refuses, and how weights fit a model.

Whatever reads weights that lie in a file calls :func:`read_checkpoint`, and so does MMEngine's
Runner (see ``compat``). A file is data from anywhere: damaged, of something else, or hostile.
"""

import io
import pickle
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from sesim_mmagic.utils.downloads import cached_download
from sesim_mmagic.utils.files import write_atomically

POINTER = 'last_checkpoint'
_DTYPES = {
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.bool),
    *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
}
# Of torch's messages on what is not plain data, the name of it.
_UNSAFE = re.compile(r"(?:GLOBAL |add_safe_globals`,? but got (?:<class ')?)([\w.]{1,80})")
_FOLDER = 0x10  # of MS-DOS
_AGAIN = 'copy or download it again, or use an earlier one'


class TrainingStopped(RuntimeError):
    """A training met values that are not finite; its last checkpoint is good."""


def last_checkpoint(work_dir: str | Path) -> str | None:
    """Return the newest complete checkpoint of a work directory, or None.

    MMEngine notes it in the file ``last_checkpoint``. The note holds an absolute path; where the
    work directory was moved or copied since, the file of the same name inside it is meant.

    Args:
        work_dir (str | Path): Work directory of a training.

    Returns:
        str | None: Path of an existing file.
    """
    pointer = Path(work_dir) / POINTER
    if not pointer.is_file():
        return None
    noted = Path(pointer.read_text(errors='replace').strip().replace('\0', ''))
    for path in (Path(work_dir) / noted.name, noted):
        if path.is_file():
            return str(path)
    return None


def resume_advice(checkpoint: str | None) -> str:
    """Say how to go on after values that are not finite.

    Args:
        checkpoint (str | None): The last good checkpoint; None if there is none.
    """
    kept = f"Last good checkpoint: '{checkpoint}' (kept)." if checkpoint else None
    return (
        f'{kept or "No checkpoint was saved yet."} Usual causes: a learning rate or loss weight '
        'that is too high, damaged pictures, float16 without loss scaling. Change the cause, then '
        + ('continue with --resume.' if checkpoint else 'start again.')
    )


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Weights by name in a checkpoint, on the CPU; see :func:`read_checkpoint`."""
    return weights_of(read_checkpoint(path))


def write_checkpoint(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write what :func:`read_checkpoint` reads; the file is complete or absent."""
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    write_atomically(path, buffer.getvalue())


def weights_of(content: dict[str, Any]) -> dict[str, Tensor]:
    """Weights by name in the content of a checkpoint."""
    return content.get('state_dict', content)


def read_checkpoint(
    path: str | Path, what: str = 'Checkpoint', map_location: Any = 'cpu'
) -> dict[str, Any]:
    """Read a checkpoint; nothing of it is run.

    Refused are files that are truncated or changed (torch writes a checksum of each part and does
    not look at it when it reads), that hold more than tensors and plain values, and weights that
    are no dense tensors of numbers, or not finite. Files that torch wrote before version 1.6 have
    no checksums.

    Args:
        path (str | Path): Path or URL.
        what (str): What the file is, for messages. Defaults to 'Checkpoint'.
        map_location (Any): As of ``torch.load``. Defaults to 'cpu'.

    Returns:
        dict: Weights by name; or ``state_dict`` and whatever else was saved.

    Raises:
        FileNotFoundError: There is no such file, or it cannot be downloaded.
        ValueError: It is refused; the message is one line.
    """
    if '://' not in str(path):
        return _read(Path(path).expanduser(), f"{what} '{path}'", map_location)
    local = cached_download(str(path))
    try:
        return _read(local, f"{what} '{path}'", map_location)
    except ValueError as error:
        local.unlink(missing_ok=True)  # else the next call, too, would find this one
        raise ValueError(f'{error} What was downloaded is not kept.') from None


def _read(path: Path, name: str, map_location: Any) -> dict[str, Any]:
    if path.is_dir():
        raise FileNotFoundError(f'{name} is a folder: name one of the files in it.')
    if not path.is_file():
        raise FileNotFoundError(f'{name} does not exist (working directory: {str(Path.cwd())!r}).')
    # One open file, so that what is loaded is what was checked.
    with path.open('rb') as file:
        reason = _reason_against(file, size := path.stat().st_size)
        if reason is None:
            file.seek(0)
            content, reason = _unpickle(file, map_location)
    if reason is None:
        reason = _reason_against_content(content, size)
    if reason is not None:
        raise ValueError(f'{name} cannot be read: {reason}.')
    return content


def _reason_against(file: BinaryIO, size: int) -> str | None:
    """Why a file is no whole checkpoint; None if it is one."""
    magic = file.read(4)
    if magic[:1] == b'\x80':  # a pickle: written before torch 1.6
        return None
    if magic != b'PK\x03\x04':
        return 'it is not a PyTorch checkpoint'
    try:
        archive = zipfile.ZipFile(file)
    except Exception:  # each damage of a table of contents has its own
        return f'it is truncated, or its table of contents is damaged ({size} bytes): {_AGAIN}'
    with archive:
        parts = archive.infolist()
        # Readers differ in which of two parts of the same name they take.
        if len({part.filename for part in parts}) < len(parts):
            return f'it is damaged, parts of it have the same name: {_AGAIN}'
        # torch stores parts as they are; so they cannot become larger than the file.
        if any(p.compress_type or p.compress_size != p.file_size for p in parts):
            return f'it is damaged or packed anew, torch does not compress parts: {_AGAIN}'
        # For torch a part that is marked as a folder is memory that nobody wrote to.
        if any(part.is_dir() or part.external_attr & _FOLDER for part in parts):
            return f'it is damaged, a part of it is marked as a folder: {_AGAIN}'
        if sum(part.file_size for part in parts) > size:
            return f'it is damaged, its parts are larger than the file: {_AGAIN}'
        for part in parts:
            if not _is_whole(archive, part):
                return (
                    f'it is damaged, its part {_shown(part.filename)} has another checksum than '
                    f'when it was written: {_AGAIN}'
                )
    return None


def _is_whole(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> bool:
    checksum = 0
    try:
        with archive.open(part) as content:
            while block := content.read(2**20):
                checksum = zlib.crc32(block, checksum)
    except Exception:  # each damage of a header has its own
        return False
    return checksum == part.CRC


def _unpickle(file: BinaryIO, map_location: Any) -> tuple[Any, str | None]:
    """What a file holds, or why it cannot be known.

    torch's messages are not passed on: they have many lines, and advise to turn the safety off.
    """
    try:
        with warnings.catch_warnings():  # of odd content: it loads, or it is refused
            warnings.simplefilter('ignore')
            return torch.load(file, map_location=map_location, weights_only=True), None
    except pickle.UnpicklingError as error:
        refused = _UNSAFE.search(str(error))
        if refused:
            return None, (
                f"it holds objects that could run code ('{refused[1]}'): ask for a file of tensors "
                'and plain values alone'
            )
        return None, f'it is damaged, or no file of tensors and plain values alone: {_AGAIN}'
    except (MemoryError, torch.cuda.OutOfMemoryError):
        return None, f'it is damaged, or too large for the memory: {_AGAIN}'
    except Exception as error:  # a damaged pickle can raise anything
        return None, f'it is damaged ({type(error).__name__}): {_AGAIN}'


def _reason_against_content(content: Any, size: int) -> str | None:
    """Why what was read is no checkpoint; None if it is one."""
    if not isinstance(content, dict):
        return 'it holds no dictionary of weights'
    if not isinstance(meta := content.get('meta', {}), dict):
        return "its 'meta' is no dictionary"
    for key in ('iter', 'epoch'):
        value = meta.get(key)
        if value is not None and (type(value) is not int or value < 0):
            return f"its 'meta' has {key}={_shown(value)}, which is no count"
    weights = weights_of(content)
    if not isinstance(weights, dict):
        return "it holds no weights, its 'state_dict' is no dictionary"
    for key, value in weights.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            return f'it holds other things than weights: {_shown(key)} is a {type(value).__name__}'
    for tensor in _tensors(content):
        if not _is_plain(tensor, size):
            names = [key for key, value in weights.items() if value is tensor]
            return (
                f'its tensor {_shown(names[0] if names else "of another part")} is not dense, not '
                f'of numbers or larger than the file ({tensor.dtype}, {str(tensor.layout)})'
            )
    for key, value in weights.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            return (
                f'its weight {_shown(key)} holds values that are not finite (NaN or infinite): '
                'use an earlier checkpoint'
            )
    return None


def _tensors(content: Any) -> Iterator[Tensor]:
    """Every tensor in nested containers, however deep, also where they hold themselves."""
    seen, waiting = set(), [content]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list | tuple | set):
            waiting.extend(value)


def _is_plain(tensor: Tensor, size: int) -> bool:
    return (
        type(tensor) in (Tensor, nn.Parameter)
        and tensor.layout is torch.strided
        and not tensor.is_nested
        and tensor.device.type != 'meta'
        and tensor.dtype in _DTYPES
        # A view can repeat one number at will, which costs memory as soon as it is copied.
        and tensor.numel() * tensor.element_size() <= size
    )


def _shown(value: Any) -> str:
    """What a stranger wrote, on one line and short."""
    text = repr(value) if isinstance(value, str | int | float) else f'of {type(value).__name__}'
    return text if len(text) <= 80 else f'{text[:77]}...'
