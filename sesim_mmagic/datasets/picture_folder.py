"""The pictures of a data set: those that are used, and those that stand in for others."""

import logging
from collections.abc import Callable, Collection, Sequence
from pathlib import PurePath
from typing import Any

import torch
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.fileio import BaseStorageBackend
from mmengine.logging import MessageHub, print_log

from sesim_mmagic.utils.images import UnusablePicture, shown

from .checking import BrokenPictures, find_broken
from .sources import list_pictures

SPLITS = ('train', 'val', 'test')
_MOST_IN_A_ROW = 20
_KEY = 'left_out_pictures'


class PictureFolder:
    """The pictures of a folder, by labels such as ``trainA/7.jpg``.

    A label is the same wherever the data set lies. For a picture that turned bad after it was
    checked, the next one of :attr:`paths` that has not stands in, the first after the last; so a
    sample depends on the files alone, not on which worker met them first. Workers share what they
    know.

    Args:
        folder (str): The folder.
        backend (BaseStorageBackend): Where it lies.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it holds no picture.
    """

    def __init__(self, folder: str, backend: BaseStorageBackend) -> None:
        self.folder = str(folder)
        name = PurePath(self.folder).name
        self.all = {
            f'{name}/{PurePath(path).relative_to(self.folder).as_posix()}': path
            for path in list_pictures(folder, backend)
        }
        #: Labels of the pictures that are not used.
        self.left_out: list[str] = []
        # Other ranks than the first print errors alone; in a worker nobody knows the rank.
        self._level = logging.WARNING if is_main_process() else logging.ERROR
        self.use(list(self.all.values()))

    def leave_out(self, labels: Collection[str]) -> None:
        """Leave out these pictures, which may name those of other folders too, and no others.

        Raises:
            ValueError: If none is left.
        """
        labels = set(labels)
        self.left_out = [label for label in self.all if label in labels]
        self.use([path for label, path in self.all.items() if label not in labels])
        if not self.paths:
            raise ValueError(
                f'folder {shown(self.folder)} holds no picture that can be used; the first is '
                f'{shown(next(iter(self.all.values())))}'
            )

    def use(self, paths: Sequence[str]) -> None:
        """Use these pictures alone, which may stand in for each other."""
        self.paths = list(paths)
        self._index = {path: index for index, path in enumerate(self.paths)}
        self._is_bad = torch.zeros(len(self.paths), dtype=torch.bool).share_memory_()

    def readable(self, path: str) -> str:
        """The picture to read for one of :attr:`paths`.

        Raises:
            RuntimeError: If too many in a row cannot be read.
        """
        first, most = self._index[path], min(_MOST_IN_A_ROW, len(self.paths))
        for index in range(first, first + most):
            if not self._is_bad[index % len(self.paths)]:
                return self.paths[index % len(self.paths)]
        raise RuntimeError(
            f'{most} pictures in a row cannot be read any more, the first is {shown(path)}; look '
            'whether their folder is still there, then go on with --resume'
        )

    def note_bad(self, error: UnusablePicture) -> bool:
        """From now on others stand in for a picture, which is named in the log, once.

        Returns:
            bool: Whether the picture is one of :attr:`paths`.

        Raises:
            RuntimeError: If too many in a row cannot be read.
        """
        index = self._index.get(error.path)
        if index is None:
            return False
        if not self._is_bad[index]:
            self._is_bad[index] = True
            text = f'picture {shown(error.path)} can no longer be used ({error.reason}); '
            text += f'{shown(self.readable(error.path))} stands in for it'
            print_log(text, 'current', self._level)
        return True


class CheckedPictures:
    """What data sets share whose pictures are looked at when they are built.

    A subclass calls :meth:`set_options` first, then :meth:`open_folders`.
    """

    #: Folders of the data set.
    folders: list[PictureFolder]

    def set_options(self, split: str, skip_broken: bool, max_image_pixels: int | None) -> None:
        """Take the settings that these data sets share."""
        if split not in SPLITS:
            raise ValueError(f'{type(self).__name__}: split must be one of {SPLITS}, got {split!r}')
        self.split = split
        self.skip_broken = skip_broken
        self.max_image_pixels = max_image_pixels

    def open_folders(self, paths: Sequence[str], backend: BaseStorageBackend) -> None:
        """List the pictures of folders, check all of them, and choose those of the split.

        Raises:
            BrokenPictures: If some cannot be used, and they are not to be left out.
            FileNotFoundError: If a folder is missing.
            ValueError: If none is left in a folder.
        """
        self.folders = [PictureFolder(path, backend) for path in paths]
        pictures = [path for folder in self.folders for path in folder.all.values()]
        broken = broken_to_skip(pictures, self.skip_broken, self.max_image_pixels)
        labels = {
            label for folder in self.folders for label, path in folder.all.items() if path in broken
        }
        self.leave_out(self.partners(labels))

    def partners(self, labels: set[str]) -> set[str]:
        """The pictures that are left out together with broken ones."""
        return labels

    def choose(self) -> None:
        """Take the pictures of the split out of those that are used."""
        raise NotImplementedError

    @property
    def left_out(self) -> list[str]:
        """Labels of the pictures that are not used."""
        return [label for folder in self.folders for label in folder.left_out]

    def leave_out(self, labels: Collection[str]) -> None:
        """Leave out these pictures and no others."""
        for folder in self.folders:
            folder.leave_out(labels)
        self.choose()

    def with_stand_ins(self, read: Callable[[], dict]) -> dict:
        """What ``read`` gives once it meets no picture that turned bad."""
        while True:
            try:
                return read()
            except UnusablePicture as error:
                if not any([folder.note_bad(error) for folder in self.folders]):
                    raise


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
        print_log('\n'.join([count, *lines]), 'current', logging.WARNING)
    return broken


def settle_left_out(hub: MessageHub, datasets: Sequence[Any], resumed: bool) -> bool:
    """Let the data sets of all ranks leave out the same pictures, those of the checkpoint if any.

    A training that goes on has the order of its samples from the number of its pictures. So where
    a picture was repaired, or another one broke, the list of the checkpoint holds: the one stays
    out, and for the other a picture stands in when its turn comes.

    Args:
        hub (MessageHub): What checkpoints keep besides the weights; the list is noted there.
        datasets (Sequence[Dataset]): Those of training and validation; others than
            ``CheckedPictures`` are passed over.
        resumed (bool): Whether the hub comes from a checkpoint.

    Returns:
        bool: Whether the pictures of a data set changed.
    """
    checked = [dataset for dataset in datasets if isinstance(dataset, CheckedPictures)]
    here = sorted({label for dataset in checked for label in dataset.left_out})
    shared = [here]
    broadcast_object_list(shared)  # file systems of ranks may differ for a moment
    labels = shared[0]
    if resumed:
        labels = hub.get_info(_KEY, [])
        for label in sorted(set(labels) ^ set(here)):
            text = (
                'cannot be used now; others stand in for it, since the checkpoint had it'
                if label in here
                else 'can be used now; this training goes on without it, since its checkpoint left '
                'it out'
            )
            print_log(f'picture {label!r} {text}', 'current', logging.WARNING)
    hub.update_info(_KEY, labels)
    if labels == here:
        return False
    for dataset in checked:
        dataset.leave_out(labels)
    return True
