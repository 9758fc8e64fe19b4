"""Which files of a folder are pictures: ONE rule for every folder."""

import glob
import os
import stat
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import features

_HIDDEN = 'hidden'
_FOLDER = 'folder'
_NEEDED_BY = {'WEBP': 'webp', 'JPEG2000': 'jpg_2000', 'AVIF': 'avif'}
_SUFFIXES = dict(
    PNG=('.png',),
    JPEG=('.jpg', '.jpeg', '.jfif', '.jpe'),
    WEBP=('.webp',),
    BMP=('.bmp',),
    TIFF=('.tif', '.tiff'),
    PPM=('.ppm', '.pgm', '.pbm', '.pnm'),
    JPEG2000=('.jp2', '.j2k', '.jpf', '.jpx', '.j2c', '.jpc'),
    AVIF=('.avif',),
)


def _is_there(image_format: str) -> bool:
    """Whether this Pillow decodes a format; ``features.check`` warns of names that it misses."""
    feature = _NEEDED_BY.get(image_format)
    known = {**features.modules, **features.codecs}
    return feature is None or (feature in known and bool(features.check(feature)))


#: Formats that are opened, by Pillow's names, and no other.
FORMATS = tuple(name for name in _SUFFIXES if _is_there(name))
#: What translating notes beside the translations: of which sources and how, failures, a page.
RECORD, FAILURES, SHEET = 'translations.json', 'failed.json', 'index.html'
#: How names of pictures end, in small letters.
PICTURE_SUFFIXES = tuple(suffix for name in FORMATS for suffix in _SUFFIXES[name])


@dataclass(frozen=True)
class FolderListing:
    """The pictures of a folder, and what else was there.

    Attributes:
        folder (Path): The folder.
        files (list[Path]): Its pictures, ``folder`` included, in the order of their names.
        left_out (Counter): How many files of each kind (suffix, 'named pipe', ...) are no
            pictures. Hidden files and folders do not count.
        hidden (int): Hidden files and folders that were passed over.
    """

    folder: Path
    files: list[Path]
    left_out: Counter = field(default_factory=Counter)
    hidden: int = 0

    @property
    def names(self) -> list[str]:
        """Names below the folder, with slashes."""
        return [file.relative_to(self.folder).as_posix() for file in self.files]

    def note(self) -> str | None:
        """One line on what was left out, such as "2 of 11 files left out: .gif 2", or None."""
        count = sum(self.left_out.values())
        if not count:
            return None
        kinds = sorted(self.left_out.items(), key=lambda kind: (-kind[1], kind[0]))
        text = ', '.join(f'{name} {number}' for name, number in kinds[:8])
        more = f', others {sum(number for _, number in kinds[8:])}' if kinds[8:] else ''
        return f'{count} of {count + len(self.files)} files left out: {text}{more}'

    def nothing(self) -> str:
        """Why the folder has no pictures, for an error."""
        note = self.note()
        seen = [note] if note else []
        seen += [f'hidden files and folders are not looked at ({self.hidden})'] * bool(self.hidden)
        return (
            f'folder {shown(self.folder)} holds no picture (names that end in '
            f'{" ".join(PICTURE_SUFFIXES)}){"; " if seen else ""}{"; ".join(seen)}'
        )


def shown(path: str | Path) -> str:
    """A path in quotes that every terminal and log takes, in one line, whatever bytes it has."""
    return repr(str(path))


def suffix_of(name: str | Path) -> str:
    """How a name ends, in small letters, with its dot; '' without one."""
    return Path(name).suffix.casefold()


def is_picture_name(name: str) -> bool:
    """Whether a file of this name, relative to its folder, counts: not hidden, a known suffix."""
    hidden = any(part.startswith('.') for part in Path(name).parts)
    return not hidden and suffix_of(name) in PICTURE_SUFFIXES


def list_images(
    folder: str | Path,
    recursive: bool = True,
    extra_suffixes: Collection[str] = (),
    exclude: Collection[str | Path] = (),
) -> FolderListing:
    """List the pictures of a folder, by the one rule for all folders.

    Pictures are regular files with a suffix of ``PICTURE_SUFFIXES`` in any case. Links are
    followed, each folder is entered once, however many links lead there, and under its own name
    where it lies inside ``folder``. Hidden files and folders are left out; what translating notes
    in a folder of translations does not count.

    Args:
        folder (str | Path): The folder.
        recursive (bool): Whether folders inside it are entered. Defaults to True.
        extra_suffixes (Collection[str]): More suffixes to take, in small letters with the dot.
        exclude (Collection[str | Path]): Folders that are not entered, such as that of the output.

    Returns:
        FolderListing: In the order of the names below the folder, compared as text, slashes
        included, which is the same on every machine.

    Raises:
        FileNotFoundError: There is no such folder.
        OSError: It cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f'{shown(folder)} is not a folder')
    entered = {_identity(path) for path in exclude if os.path.exists(path)}
    return _listing(folder, _scan(folder, recursive, entered), extra_suffixes)


def list_matches(
    pattern: Path, extra_suffixes: Collection[str] = (), exclude: Path | None = None
) -> FolderListing:
    """List the pictures that fit a pattern, of :func:`list_images`' kinds.

    Args:
        pattern (Path): As of :func:`glob.glob`; ``**`` crosses folders.
        extra_suffixes (Collection[str]): As in :func:`list_images`.
        exclude (Path, optional): Absolute folder whose files are passed over. Defaults to None.

    Returns:
        FolderListing: Of the part of the pattern that is fixed; each file once, however many links
        lead to its folder.
    """
    fixed = next(i for i, part in enumerate(pattern.parts) if glob.has_magic(part))
    root = Path(*pattern.parts[:fixed])
    matches: dict[Path, Path] = {}
    paths = map(Path, glob.glob(str(pattern), recursive=True))
    for path in sorted(paths, key=lambda path: (len(path.parts), path)):
        folder = Path(os.path.realpath(path.parent))
        if not (exclude and folder.is_relative_to(exclude)):
            matches.setdefault(folder / path.name, path)
    kinds = ((path.relative_to(root).as_posix(), _kind(path)) for path in matches.values())
    return _listing(root, [pair for pair in kinds if pair[1] != _FOLDER], extra_suffixes)


def _listing(
    folder: Path, kinds: Iterable[tuple[str, str | None]], extra_suffixes: Collection[str]
) -> FolderListing:
    """Pictures among the files of a folder, which come with their kinds, None for regular ones."""
    names: list[str] = []
    left_out: Counter = Counter()
    notes = (RECORD, FAILURES, SHEET) if (folder / RECORD).is_file() else ()
    for name, kind in kinds:
        if kind is None and suffix_of(name) in (*PICTURE_SUFFIXES, *extra_suffixes):
            names.append(name)
        elif name not in notes:
            left_out[kind or suffix_of(name) or 'without suffix'] += 1
    hidden = left_out.pop(_HIDDEN, 0)
    return FolderListing(folder, [folder / name for name in sorted(names)], left_out, hidden)


def _identity(path: str | Path) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _scan(
    folder: Path, recursive: bool, entered: set[tuple[int, int]]
) -> Iterator[tuple[str, str | None]]:
    """Name and kind of every file, None for a regular one; what lies inside comes before links."""
    inside, linked = deque(['']), deque[str]()
    entered.discard(_identity(folder))
    while inside or linked:
        below = inside.popleft() if inside else linked.popleft()
        try:
            identity = _identity(folder / below)
            if identity in entered:
                continue
            entered.add(identity)
            with os.scandir(folder / below) as scanned:
                entries = sorted(scanned, key=lambda entry: entry.name)
        except OSError:
            if not below:
                raise
            yield below, 'unreadable folder'
            continue
        for entry in entries:
            name = f'{below}/{entry.name}' if below else entry.name
            kind = _kind(entry)
            if kind == _FOLDER and recursive:
                (linked if entry.is_symlink() else inside).append(name)
            else:
                yield name, kind


def _kind(entry: os.DirEntry | Path) -> str | None:
    """What an entry is where it is no regular file, links followed."""
    if entry.name.startswith('.'):
        return _HIDDEN
    try:
        if entry.is_file():
            return None
        if entry.is_dir():
            return _FOLDER
        return kind_of(entry.stat().st_mode)
    except OSError:
        return 'broken link' if entry.is_symlink() else 'unreadable file'


def kind_of(mode: int) -> str:
    """What a file of this mode is, other than a regular one."""
    kinds = ((stat.S_ISFIFO, 'named pipe'), (stat.S_ISSOCK, 'socket'), (stat.S_ISDIR, _FOLDER))
    return next((kind for is_kind, kind in kinds if is_kind(mode)), 'device')
