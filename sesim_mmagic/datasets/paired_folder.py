"""A folder of pictures that show A and B side by side."""

from functools import partial

from mmengine.dataset import BaseDataset
from mmengine.fileio import get_file_backend

from sesim_mmagic.registry import DATASETS

from .picture_folder import CheckedPictures


@DATASETS.register_module()
class PairedFolderDataset(CheckedPictures, BaseDataset):
    """Pairs, two pictures of one scene in a file each: A is its left half, B its right.

    Pictures are checked, and others stand in for them, as in :class:`UnpairedFolderDataset`.

    Args:
        data_root (str): Folder with the folders ``train`` and ``test``, perhaps ``val``.
        pipeline (list[dict]): Transforms; the first is ``LoadPicturePair``, which reads
            ``pair_path``.
        split (str): Which of the folders: 'train', 'val' or 'test'. Defaults to 'train'.
        skip_broken (bool): As of :class:`UnpairedFolderDataset`, like ``max_image_pixels`` and
            the errors.
        max_image_pixels (int, optional): Most pixels of a picture.
    """

    METAINFO = dict(dataset_type='paired_folder', task_name='paired_translation')
    #: As that of :class:`UnpairedFolderDataset`: each picture has its truth.
    paired = True

    def __init__(
        self,
        data_root: str,
        pipeline: list,
        split: str = 'train',
        skip_broken: bool = False,
        max_image_pixels: int | None = None,
    ) -> None:
        self.set_options(split, skip_broken, max_image_pixels)
        self.file_backend = get_file_backend(str(data_root))
        super().__init__(
            data_root=self.file_backend.join_path(str(data_root), split),
            pipeline=pipeline,
            test_mode=split != 'train',
            serialize_data=False,
        )

    def load_data_list(self) -> list[dict]:
        """List the pairs, and look whether they can be used."""
        if not self.file_backend.isdir(self.data_root):
            raise FileNotFoundError(
                f'folder {self.data_root!r} does not exist; pictures side by side lie in the '
                'folders train, val and test of data_root'
            )
        self.open_folders([self.data_root], self.file_backend)
        return self.data_list

    def choose(self) -> None:
        """Take the pictures that are used."""
        self.data_list = [dict(pair_path=path) for path in self.folders[0].paths]

    def get_data_info(self, idx: int) -> dict:
        """Path of a pair, of that which stands in where it turned bad."""
        info = super().get_data_info(idx)
        info['pair_path'] = self.folders[0].readable(info['pair_path'])
        info['max_image_pixels'] = self.max_image_pixels
        return info

    def __getitem__(self, idx: int) -> dict:
        """A sample."""
        read = partial(super().__getitem__, idx)
        return read() if self.split == 'test' else self.with_stand_ins(read)
