"""Folders that appear under their name once they are complete."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
        partial.chmod(0o777 & ~_umask())  # mkdtemp's folders are readable by their owner alone
        yield partial
        os.replace(partial, out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
