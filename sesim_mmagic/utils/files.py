"""Files that are either complete or absent."""

import os
from pathlib import Path


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
    except BaseException:  # a full disk, Ctrl+C: a part of the file is of no use
        partial.unlink(missing_ok=True)
        raise
