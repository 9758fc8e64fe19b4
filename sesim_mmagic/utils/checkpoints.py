"""Checkpoints of a work directory."""

from pathlib import Path

POINTER = 'last_checkpoint'


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
