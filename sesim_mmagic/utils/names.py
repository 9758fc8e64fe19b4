"""What results are called that are made of files: the ONE rule."""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePath

from .listing import FolderListing

# File systems take 255 bytes; '_12', '.png' and a temporary ending are to fit as well.
_MOST_BYTES = 230


def output_names(sources: Sequence[str | PurePath]) -> list[PurePath]:
    """Names of what is made of files, such as their translations, without a suffix.

    The folders stay, and the stem of the file where no other file of the folder has it: ``a/b``
    of ``a/b.jpg``. Of files that share a stem the whole name stays: ``b.jpg`` (later ``b.jpg.png``)
    and ``b.png``. A name that is too long for a file system is cut and gets eight digits of its
    checksum.

    Args:
        sources (Sequence[str | PurePath]): Paths below one folder, relative to it.

    Returns:
        list[PurePath]: A name for each source. Two are equal only where their sources are.
    """
    paths = [PurePath(source) for source in sources]
    whole = {path: path.with_name(_shortened(path.name)) for path in paths}
    names = {path: path.with_name(_shortened(path.stem)) for path in paths}
    # A whole name may be the stem of another file, which then needs its whole name too.
    while shared := {name for name, count in Counter(names.values()).items() if count > 1}:
        unsolved = [path for path in names if names[path] in shared and names[path] != whole[path]]
        if not unsolved:
            break
        names.update((path, whole[path]) for path in unsolved)
    return [names[path] for path in paths]


def pictures_by_name(listing: FolderListing) -> dict[str, Path]:
    """The pictures of a folder by their :func:`output_names`, with slashes.

    Pictures of two folders belong together where their names are equal.

    Raises:
        ValueError: The folder holds no picture.
    """
    if not listing.files:
        raise ValueError(listing.nothing())
    names = (name.as_posix() for name in output_names(listing.names))
    return dict(zip(names, listing.files, strict=True))


def _shortened(name: str) -> str:
    encoded = os.fsencode(name)
    if len(encoded) <= _MOST_BYTES:
        return name
    kept = encoded[: _MOST_BYTES - 9].decode(errors='ignore')
    return f'{kept}-{hashlib.sha256(encoded).hexdigest()[:8]}'


def printable(text: object) -> str:
    r"""Text that can be encoded in UTF-8, of a name of a file that need not be.

    Python decodes bytes of a name that are no text as lone surrogates.

    Args:
        text (object): A path, or a message with one.

    Returns:
        str: The same text; lone surrogates are written as ``\\udcf6``.
    """
    return str(text).encode(errors='backslashreplace').decode()
