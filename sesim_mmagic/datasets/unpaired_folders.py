"""Unpaired folders of pictures, with randomness that belongs to the sample."""

from functools import partial
from itertools import zip_longest
from os.path import abspath
from pathlib import Path
from typing import Any

from mmagic.datasets.unpaired_image_dataset import UnpairedImageDataset
from mmengine.dataset import Compose

from sesim_mmagic.registry import DATASETS

from .picture_folder import CheckedPictures, PictureFolder, StandIns, leave_out_broken
from .random_state import seeded_generators

LAYOUT = (
    'pictures of the two domains lie in trainA and trainB (training), testA and testB (test), and '
    'in valA and valB (validation) where there are such'
)
SPLITS = ('train', 'val', 'test')


@DATASETS.register_module()
class UnpairedFolderDataset(CheckedPictures, UnpairedImageDataset):
    """MMagic's unpaired folders, checked when built and reproducible sample by sample.

    Where :attr:`sample_seed` is set (``ResumableSampler`` does so), whatever is random about a
    training sample (its partner from B, crops, flips, colours) is drawn from generators seeded
    with ``(sample_seed, index)``, not from those of the process. Neither the number of workers
    nor an interruption changes what a training sees. With other samplers, samples draw from the
    generators of the process, as MMagic's do.

    All pictures are looked at when the data set is built (see :func:`find_broken`). For one that
    turns bad later, while a training lasts, the next one stands in (see :class:`StandIns`); for
    the pictures of a validation, and with ``skip_broken`` of a test, the next pair does.

    Args:
        data_root (str): Folder with ``trainA``, ``trainB``, ``testA`` and ``testB``, perhaps
            ``valA`` and ``valB``.
        pipeline (list[dict]): Transforms of ``img_A_path`` and ``img_B_path``.
        split (str, optional): What to read: 'train', 'val' (pictures to choose a checkpoint by)
            or 'test'; the last two in order and without randomness. Defaults to 'train'.
        held_out (int): Where there are no folders ``valA`` and ``valB``: number of pictures of
            ``trainA``, and of ``trainB``, that are the split 'val' and not of the split 'train'.
            They are spread evenly over the sorted names. Both splits need the same number.
            Defaults to 0.
        paired (bool): Whether ``testA/x`` and ``testB/x`` (``valA/x`` and ``valB/x``) show the
            same scene, so that one is the truth of the other; their names are compared, without
            extensions. Defaults to False.
        late_pipeline (list[dict], optional): Transforms of the training from ``late_after`` on;
            needs ``ResumableSampler``. Defaults to None.
        late_after (int): Samples (iterations times batch size times ranks) after which the next
            pass, and all that follow, take ``late_pipeline``. Defaults to 0.
        test_mode (bool): MMagic's word for ``split='test'``. Defaults to False.
        skip_broken (bool): Whether pictures that cannot be used are left out. Defaults to False:
            they are an error.
        max_image_pixels (int, optional): Most pixels of a picture. Defaults to None: 178956970,
            Pillow's limit.
        **kwargs: Those of MMagic's ``UnpairedImageDataset``.

    Raises:
        BrokenPictures: A ``ValueError``, if pictures cannot be used; it names all of them.
        FileNotFoundError: If a folder is missing.
        ValueError: If a folder holds no pictures or too few to hold out as many, names of pairs
            do not match, ``held_out`` is given beside folders of the split 'val', or arguments
            do not go together.
    """

    def __init__(
        self,
        data_root: str,
        pipeline: list,
        split: str | None = None,
        held_out: int = 0,
        paired: bool = False,
        late_pipeline: list | None = None,
        late_after: int = 0,
        test_mode: bool = False,
        skip_broken: bool = False,
        max_image_pixels: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.skip_broken = skip_broken
        self.max_image_pixels = max_image_pixels
        self.split = _checked_split(split, test_mode)
        self.held_out = held_out
        self.paired = paired
        self.late_pipeline = Compose(late_pipeline) if late_pipeline else None
        self.late_after = late_after
        self._check_arguments(paired)
        #: Seed of the samples' randomness; the sampler sets it.
        self.sample_seed: int | None = None
        #: Whether test samples say which of their pictures were in an earlier sample: the smaller
        #: folder begins again. Models of this package do not translate these a second time.
        self.marks_repeated = True
        super().__init__(data_root, pipeline, test_mode=self.split != 'train', **kwargs)
        if paired:
            self._check_pairs()

    def _check_arguments(self, paired: bool) -> None:
        if not isinstance(self.held_out, int) or self.held_out < 0:
            raise ValueError(
                f'UnpairedFolderDataset: held_out must be a number of pictures, 0 or more, got '
                f'{self.held_out!r}'
            )
        if self.late_pipeline and self.split != 'train' or self.late_after < 0:
            raise ValueError(
                "UnpairedFolderDataset: late_pipeline is for split='train' and late_after must "
                f'not be negative, got {self.split!r} and {self.late_after}'
            )
        if self.held_out and self.split == 'test':
            raise ValueError(
                'UnpairedFolderDataset: held_out divides the training folders into the splits '
                "'train' and 'val'; give it to those, not to the split 'test'"
            )
        if paired and self.split == 'train':
            raise ValueError(
                "UnpairedFolderDataset: paired=True is for split='val' and 'test'; training draws "
                'the pictures of the two domains independently'
            )
        if paired and self.held_out:
            raise ValueError(
                'UnpairedFolderDataset: paired=True needs pairs in the folders valA and valB; '
                'held_out takes pictures of trainA and trainB, which show different scenes'
            )

    def load_data_list(self) -> list:
        """List the pictures of both domains, and look whether they can be used."""
        if not self.file_backend.isdir(self.data_root):
            raise FileNotFoundError(
                f'data_root {str(self.data_root)!r} is no folder '
                f'({abspath(str(self.data_root))}); {LAYOUT} below it'
            )
        folder = 'train' if self._divides_training() else self.split
        self.dataroot_a, self.dataroot_b = (
            self.file_backend.join_path(self.data_root, folder + side) for side in 'AB'
        )
        self.folders = [self._folder(path) for path in (self.dataroot_a, self.dataroot_b)]
        leave_out_broken(self.folders, self.skip_broken, self.max_image_pixels)
        if self.paired:
            scenes = {PictureFolder.scene(label) for label in self.left_out}
            for folder in self.folders:
                folder.leave_out_scenes(scenes)
        self.choose()
        return [self.data_infos_a, self.data_infos_b]

    def _folder(self, path: str) -> PictureFolder:
        if not self.file_backend.isdir(path):
            raise FileNotFoundError(f'{str(path)!r} is no folder; {LAYOUT}')
        return PictureFolder(path, self.file_backend)

    def choose(self) -> None:
        """Take the pictures of this split out of those that are used."""
        chosen = [self._of_split(folder) for folder in self.folders]
        self.stand_ins = [StandIns(paths) for paths in chosen]
        self.data_infos_a, self.data_infos_b = ([dict(path=p) for p in paths] for paths in chosen)
        self.len_a, self.len_b = map(len, chosen)

    def _divides_training(self) -> bool:
        """Whether the training folders are divided into the splits 'train' and 'val'."""
        if self.split == 'test':
            return False
        folders = [self.file_backend.join_path(self.data_root, f'val{side}') for side in 'AB']
        present = [str(path) for path in folders if self.file_backend.isdir(path)]
        if present and self.held_out:
            raise ValueError(
                f'held_out={self.held_out}, but {" and ".join(present)} '
                f'{"exist" if len(present) > 1 else "exists"}: validate either on the pictures '
                'there (held_out=0) or on a part of the training folders (remove these folders)'
            )
        if self.split == 'val' and not (present or self.held_out):
            raise ValueError(
                f"data_root {str(self.data_root)!r} has nothing for split='val': either put "
                'pictures into the folders valA and valB there, or set held_out=N on both the '
                'training and the validation set to take N pictures out of trainA and trainB'
            )
        return self.held_out > 0

    def _of_split(self, folder: PictureFolder) -> list[str]:
        paths = folder.paths
        if not self.held_out:
            return paths
        if self.held_out >= len(paths):
            raise ValueError(
                f'held_out={self.held_out}, but folder {folder.folder!r} holds {len(paths)} '
                'pictures: some must be left to train on'
            )
        chosen = _spread(self.held_out, len(paths))
        return [path for i, path in enumerate(paths) if (i in chosen) == (self.split == 'val')]

    def _check_pairs(self) -> None:
        folders = self.dataroot_a, self.dataroot_b
        names = [
            [Path(info['path']).relative_to(folder).with_suffix('') for info in infos]
            for infos, folder in zip((self.data_infos_a, self.data_infos_b), folders, strict=True)
        ]
        for pair in zip_longest(*names):
            if pair[0] != pair[1]:
                found = [repr(str(name)) if name else 'none' for name in pair]
                raise ValueError(
                    f'{folders[0]} ({len(names[0])} pictures) and {folders[1]} ({len(names[1])}) '
                    'should hold pairs of the same names, but the first that differ are '
                    f'{found[0]} and {found[1]}; rename or remove pictures, or set paired=False'
                )

    def get_data_info(self, idx: int) -> dict:
        """Paths of a sample, of those that stand in for pictures that turned bad.

        Outside training it says as well which of its pictures another sample has too.
        """
        info = super().get_data_info(idx)
        if self.max_image_pixels is not None:
            info['max_image_pixels'] = self.max_image_pixels
        domains = self.domain_a, self.domain_b
        keys = [f'img_{domain}_path' for domain in domains]
        read = {key: s.of(info[key]) for key, s in zip(keys, self.stand_ins, strict=True)}
        bad = [domain for domain, key in zip(domains, keys, strict=True) if read[key] != info[key]]
        if bad and self.paired:  # another pair stands in
            bad, read = domains, self.get_data_info(idx + 1)
        info.update(read)
        if self.test_mode and self.marks_repeated:
            for domain, number in zip(domains, (self.len_a, self.len_b), strict=True):
                info[f'img_{domain}_repeated'] = idx >= number or domain in bad
        return info

    def prepare_data(self, idx: int) -> dict:
        """A sample through the pipeline of its pass."""
        begins = len(self) * (idx // len(self))  # samples before this pass
        late = self.late_pipeline is not None and begins >= self.late_after
        return (self.late_pipeline if late else self.pipeline)(self.get_data_info(idx))

    def __getitem__(self, index: int) -> dict:
        """A sample; ``index`` may count on through passes (see ``ResumableSampler``)."""
        if self.split == 'test' and not self.skip_broken:
            return self._sample(index)
        return self.with_stand_ins(partial(self._sample, index))

    def _sample(self, index: int) -> dict:
        if self.late_pipeline and self.sample_seed is None:
            raise ValueError(
                'UnpairedFolderDataset: late_pipeline needs a sampler that counts on through '
                "passes: set train_dataloader.sampler.type='sesim_mmagic.ResumableSampler'"
            )
        if self.test_mode or self.sample_seed is None:
            return super().__getitem__(index)
        with seeded_generators(self.sample_seed, index % len(self) if index < 0 else index):
            return super().__getitem__(index)


def _checked_split(split: str | None, test_mode: bool) -> str:
    if split is not None and test_mode:
        raise ValueError(
            f"UnpairedFolderDataset: test_mode=True is another word for split='test'; give one of "
            f'the two, not split={split!r} as well'
        )
    split = split or ('test' if test_mode else 'train')
    if split not in SPLITS:
        raise ValueError(f'UnpairedFolderDataset: split must be one of {SPLITS}, got {split!r}')
    return split


def _spread(number: int, total: int) -> set[int]:
    """``number`` of ``total`` indices, evenly spread: the middles of as many equal parts."""
    return {(2 * i + 1) * total // (2 * number) for i in range(number)}
