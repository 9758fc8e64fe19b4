"""Files that are either complete or absent."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomically(path: str | Path, content: bytes | str) -> None:
    """Write a file under a temporary name, then rename it.

    A process killed at any moment leaves either the previous file or the new one. The temporary
    name is fixed (``<path>.tmp``), so that killed writers do not pile up remains. One process at
    a time may write a path.

    Args:
        path (str | Path): File to write; missing parent folders are created.
        content (bytes | str): What to write; text is encoded in UTF-8.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + '.tmp')
    try:
        with open(partial, 'wb') as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            # Without this, a power failure may leave an empty file under the final name.
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:  # a full disk, Ctrl+C: a part of the file is of no use
        partial.unlink(missing_ok=True)
        raise


def is_free(out: str | Path) -> bool:
    """Whether nothing but an empty folder lies at ``out``."""
    out = Path(out)
    return not out.exists() or (out.is_dir() and not any(out.iterdir()))


@contextmanager
def new_folder(out: str | Path) -> Iterator[Path]:
    """Give a temporary folder beside ``out`` that becomes ``out`` at the end.

    After an error or an interruption nothing is left at ``out``.

    Args:
        out (str | Path): Folder to write; parents are made.

    Raises:
        FileExistsError: If something lies at ``out`` already.
    """
    out = Path(out)
    if not is_free(out):
        raise FileExistsError(f'{str(out)!r} exists; choose another folder, or delete it first')
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f'.{out.name}.', dir=out.parent))
    try:
        mask = os.umask(0)
        os.umask(mask)
        partial.chmod(0o777 & ~mask)  # mkdtemp's folders are readable by their owner alone
        yield partial
        os.replace(partial, out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
