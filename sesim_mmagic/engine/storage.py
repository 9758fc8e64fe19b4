"""MMEngine's storage, made safe: files are complete or absent, and removed last."""

from pathlib import Path
from typing import Any

from mmengine.fileio import BaseStorageBackend, LocalBackend, register_backend

from sesim_mmagic.utils.files import write_atomically


@register_backend('AtomicLocalBackend', force=True)  # the module may be reloaded
class AtomicLocalBackend(LocalBackend):
    """MMEngine's storage backend for local files with atomic writes.

    Use it with ``backend_args=dict(backend='AtomicLocalBackend')``.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes (see :func:`write_atomically`)."""
        write_atomically(filepath, obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write text (see :func:`write_atomically`)."""
        write_atomically(filepath, obj.encode(encoding))


class RemoveLater:
    """A storage backend that collects what is to be removed until ``flush``."""

    def __init__(self, backend: BaseStorageBackend) -> None:
        self._backend = backend
        self._removed: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        """Note a file or folder."""
        self._removed.append(path)

    rmtree = remove

    def flush(self) -> None:
        """Remove what was noted."""
        removed, self._removed = self._removed, []
        for path in removed:
            if self._backend.isfile(path):
                self._backend.remove(path)
            elif self._backend.isdir(path):  # some strategies save folders
                self._backend.rmtree(path)
