"""The pictures of a data set: those that are used, and those that stand in for others."""

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path, PurePath

import torch
from mmengine.dist import is_main_process
from mmengine.fileio import BaseStorageBackend
from mmengine.logging import print_log

from sesim_mmagic.utils.images import UnusablePicture, shown

from .checking import BrokenPictures, find_broken
from .sources import list_pictures

_MOST_IN_A_ROW = 20


class PictureFolder:
    """The pictures of a folder without those that are left out.

    Args:
        folder (str): The folder.
        backend (BaseStorageBackend): Where it lies.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it holds no picture.
    """

    def __init__(self, folder: str, backend: BaseStorageBackend) -> None:
        self.folder = str(folder)
        self._all = {self._label(path): path for path in list_pictures(folder, backend)}
        self._left_out: frozenset[str] = frozenset()

    def _label(self, path: str) -> str:
        """Name of a picture with that of its folder, the same wherever the data set lies."""
        return f'{PurePath(self.folder).name}/{PurePath(path).relative_to(self.folder).as_posix()}'

    @property
    def paths(self) -> list[str]:
        """Pictures that are used, in the order of their names."""
        return [path for label, path in self._all.items() if label not in self._left_out]

    @property
    def left_out(self) -> list[str]:
        """Pictures that are not used, by the name of the folder and theirs in it."""
        return [label for label in self._all if label in self._left_out]

    def leave_out(self, left_out: Collection[str]) -> None:
        """Leave out these, which may name others too, and no others.

        Raises:
            ValueError: If none is left.
        """
        self._left_out = frozenset(left_out)
        if not self.paths:
            raise ValueError(
                f'folder {shown(self.folder)} holds no picture that can be used; the first is '
                f'{shown(next(iter(self._all.values())))}'
            )

    @staticmethod
    def scene(label: str) -> str:
        """What the pictures of a pair have in common: the name in the folder without a suffix."""
        return PurePath(*PurePath(label).parts[1:]).with_suffix('').as_posix()

    def leave_out_scenes(self, scenes: Collection[str]) -> None:
        """Leave out the pictures of these scenes besides those that are left out already."""
        partners = {label for label in self._all if self.scene(label) in scenes}
        self.leave_out(self._left_out | partners)

    def labels_of(self, paths: Iterable[str]) -> set[str]:
        """How :attr:`left_out` calls those paths that lie in this folder."""
        chosen = set(paths)
        return {label for label, path in self._all.items() if path in chosen}


def leave_out_broken(
    folders: Sequence[PictureFolder], skip_broken: bool, max_pixels: int | None
) -> None:
    """Check the pictures of a data set.

    Args:
        folders (Sequence[PictureFolder]): Their pictures.
        skip_broken (bool): Whether those that cannot be used are left out, and named in the log.
        max_pixels (int, optional): Most pixels of a picture.

    Raises:
        BrokenPictures: If there are such, and they are not to be left out.
        ValueError: If none is left in a folder.
    """
    broken = broken_to_skip(
        [p for folder in folders for p in folder.paths], skip_broken, max_pixels
    )
    for folder in folders if broken else ():
        folder.leave_out(folder.labels_of(broken))


def broken_to_skip(
    paths: Sequence[str], skip_broken: bool, max_pixels: int | None
) -> dict[str, str]:
    """Check pictures; those that are to be left out are named in the log.

    Args:
        paths (Sequence[str]): Their files.
        skip_broken (bool): Whether those that cannot be used are left out.
        max_pixels (int, optional): Most pixels of a picture.

    Returns:
        dict[str, str]: What is wrong, by path.

    Raises:
        BrokenPictures: If pictures cannot be used, and they are not to be left out.
    """
    broken = find_broken(paths, max_pixels)
    if broken and not skip_broken:
        raise BrokenPictures(broken)
    if broken:
        lines = [f'  {shown(path)}: {reason}' for path, reason in broken.items()]
        count = f'{len(broken)} of {len(paths)} pictures are left out (skip_broken):'
        _say('\n'.join([count, *lines]))
    return broken


class StandIns:
    """Which picture is read for which, when some can no longer be read.

    For a picture that turned bad it is the next one of the list that has not, the first after the
    last; so a sample depends on the files alone, not on which worker met them first. Workers share
    what they know.

    Args:
        paths (Sequence[str]): Pictures that may stand in for each other.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = list(paths)
        self._index = {path: index for index, path in enumerate(self.paths)}
        # Other ranks than the first print errors alone; in a worker nobody knows the rank.
        self._level = logging.WARNING if is_main_process() else logging.ERROR
        self._is_bad = torch.zeros(len(self.paths), dtype=torch.bool).share_memory_()

    def __contains__(self, path: str) -> bool:
        return path in self._index

    def of(self, path: str) -> str:
        """The picture to read for one of the list.

        Raises:
            RuntimeError: If too many in a row cannot be read.
        """
        first = self._index[path]
        for step in range(min(_MOST_IN_A_ROW, len(self.paths))):
            index = (first + step) % len(self.paths)
            if not self._is_bad[index]:
                return self.paths[index]
        raise RuntimeError(
            f'{min(_MOST_IN_A_ROW, len(self.paths))} pictures in a row cannot be read any more, '
            f'the first is {shown(path)}; look whether their folder is still there, then go on '
            'with --resume'
        )

    def note_bad(self, error: UnusablePicture) -> None:
        """From now on others stand in for a picture; it is named in the log, once.

        Raises:
            RuntimeError: If too many in a row cannot be read.
        """
        index = self._index[error.path]
        if self._is_bad[index]:
            return
        self._is_bad[index] = True
        name = shown(Path(self.of(error.path)))
        _say(
            f'picture {shown(error.path)} can no longer be used ({error.reason}); {name} stands in '
            'for it',
            self._level,
        )


class CheckedPictures:
    """What data sets share whose pictures are looked at when they are built.

    A subclass fills :attr:`folders`, and :attr:`stand_ins` in :meth:`choose`.
    """

    #: Folders of the data set.
    folders: list[PictureFolder]
    #: What is read for the pictures of its split, by folder.
    stand_ins: list[StandIns]

    def choose(self) -> None:
        """Take the pictures of the split out of those that are used."""
        raise NotImplementedError

    @property
    def left_out(self) -> list[str]:
        """Pictures that are not used, such as ``trainA/7.jpg``."""
        return [label for folder in self.folders for label in folder.left_out]

    def leave_out(self, left_out: Collection[str]) -> None:
        """Leave out these pictures, as :attr:`left_out` names them, and no others."""
        for folder in self.folders:
            folder.leave_out(left_out)
        self.choose()

    def with_stand_ins(self, read: Callable[[], dict]) -> dict:
        """What ``read`` gives once it meets no picture that turned bad."""
        while True:
            try:
                return read()
            except UnusablePicture as error:
                known = [others for others in self.stand_ins if error.path in others]
                if not known:
                    raise
                for others in known:
                    others.note_bad(error)


def _say(text: str, level: int = logging.WARNING) -> None:
    print_log(text, 'current', level)
