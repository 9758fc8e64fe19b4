"""MMEngine's local storage with files that are either complete or absent."""

from mmengine.fileio import LocalBackend, register_backend

from sesim_mmagic.utils.files import write_atomically


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
