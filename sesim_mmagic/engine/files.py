"""Files that are either complete or absent, and the last checkpoint of a work directory."""

import os
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

POINTER = 'last_checkpoint'


def write_atomically(path, content):
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
    except OSError:  # a full disk: a part of the file would keep it full
        partial.unlink(missing_ok=True)
        raise


@register_backend('AtomicLocalBackend', force=True)  # the module may be reloaded
class AtomicLocalBackend(LocalBackend):
    """MMEngine's storage backend for local files with atomic writes.

    Use it with ``backend_args=dict(backend='AtomicLocalBackend')``.
    """

    def put(self, obj, filepath):
        """Write bytes (see :func:`write_atomically`)."""
        write_atomically(filepath, obj)

    def put_text(self, obj, filepath, encoding='utf-8'):
        """Write text (see :func:`write_atomically`)."""
        write_atomically(filepath, obj.encode(encoding))


def last_checkpoint(work_dir):
    """Return the newest complete checkpoint of a work directory, or None.

    MMEngine notes it in the file ``last_checkpoint``. The note holds an absolute path; where the
    work directory was moved since, the file of the same name inside it is meant.

    Args:
        work_dir (str | Path): Work directory of a training.

    Returns:
        str | None: Path of an existing file.
    """
    pointer = Path(work_dir) / POINTER
    if not pointer.is_file():
        return None
    noted = Path(pointer.read_text().strip())
    for path in (noted, Path(work_dir) / noted.name):
        if path.is_file():
            return str(path)
    return None
