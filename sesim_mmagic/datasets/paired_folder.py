"""A folder of pictures that show A and B side by side."""

from functools import partial

from mmengine.dataset import BaseDataset
from mmengine.fileio import get_file_backend

from sesim_mmagic.registry import DATASETS

from .picture_folder import CheckedPictures, PictureFolder, StandIns, leave_out_broken
from .unpaired_folders import SPLITS


@DATASETS.register_module()
class PairedFolderDataset(CheckedPictures, BaseDataset):
    """Pairs, two pictures of one scene in a file each: A is its left half, B its right.

    All pictures are looked at when the data set is built (see :func:`find_broken`). For one that
    turns bad later, while a training lasts, the next one stands in (see :class:`StandIns`).

    Args:
        data_root (str): Folder with the folders ``train`` and ``test``, perhaps ``val``.
        pipeline (list[dict]): Transforms; the first is ``LoadPicturePair``, which reads
            ``pair_path``.
        split (str): Which of the folders: 'train', 'val' or 'test'. Defaults to 'train'.
        skip_broken (bool): Whether pictures that cannot be used are left out. Defaults to False:
            they are an error.
        max_image_pixels (int, optional): Most pixels of a picture. Defaults to None: 178956970,
            Pillow's limit.

    Raises:
        BrokenPictures: A ``ValueError``, if pictures cannot be used; it names all of them.
        FileNotFoundError: If the folder is missing.
        ValueError: If it holds no picture, or ``split`` is something else.
    """

    METAINFO = dict(dataset_type='paired_folder', task_name='paired_translation')

    def __init__(
        self,
        data_root: str,
        pipeline: list,
        split: str = 'train',
        skip_broken: bool = False,
        max_image_pixels: int | None = None,
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f'PairedFolderDataset: split must be one of {SPLITS}, got {split!r}')
        self.split = split
        self.skip_broken = skip_broken
        self.max_image_pixels = max_image_pixels
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
        self.folders = [PictureFolder(self.data_root, self.file_backend)]
        leave_out_broken(self.folders, self.skip_broken, self.max_image_pixels)
        self.choose()
        return self.data_list

    def choose(self) -> None:
        """Take the pictures that are used."""
        paths = self.folders[0].paths
        self.stand_ins = [StandIns(paths)]
        self.data_list = [dict(pair_path=path) for path in paths]

    def get_data_info(self, idx: int) -> dict:
        """Path of a pair, of that which stands in where it turned bad."""
        info = super().get_data_info(idx)
        info['pair_path'] = self.stand_ins[0].of(info['pair_path'])
        if self.max_image_pixels is not None:
            info['max_image_pixels'] = self.max_image_pixels
        return info

    def __getitem__(self, idx: int) -> dict:
        """A sample."""
        if self.split == 'test':
            return super().__getitem__(idx)
        return self.with_stand_ins(partial(super().__getitem__, idx))
