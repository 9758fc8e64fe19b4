"""Unpaired folders of pictures, with randomness that belongs to the sample."""

from functools import partial
from itertools import zip_longest
from os.path import abspath
from pathlib import PurePath
from typing import Any

from mmagic.datasets.unpaired_image_dataset import UnpairedImageDataset
from mmengine.dataset import Compose

from sesim_mmagic.registry import DATASETS
from sesim_mmagic.utils.checks import check_ints
from sesim_mmagic.utils.random import seeded_generators

from .picture_folder import CheckedPictures, PictureFolder

LAYOUT = (
    'pictures of the two domains lie in trainA and trainB (training), testA and testB (test), and '
    'in valA and valB (validation) where there are such'
)


@DATASETS.register_module()
class UnpairedFolderDataset(CheckedPictures, UnpairedImageDataset):
    """MMagic's unpaired folders, checked when built and reproducible sample by sample.

    Where :attr:`sample_seed` is set (``ResumableSampler`` does so), whatever is random about a
    training sample (its partner from B, crops, flips, colours) is drawn from generators seeded
    with ``(sample_seed, index)``, not from those of the process. Neither the number of workers
    nor an interruption changes what a training sees. With other samplers, samples draw from the
    generators of the process, as MMagic's do.

    All pictures are looked at when the data set is built (see :func:`find_broken`). For one that
    turns bad later, while a training lasts, the next one stands in (see :class:`PictureFolder`);
    for the pictures of a validation, and with ``skip_broken`` of a test, the next pair does.

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
        if split is not None and test_mode:
            raise ValueError(
                "UnpairedFolderDataset: test_mode=True is another word for split='test'; give one "
                f'of the two, not split={split!r} as well'
            )
        split = split or ('test' if test_mode else 'train')
        self.set_options(split, skip_broken, max_image_pixels)
        check_ints(self, 0, held_out=held_out, late_after=late_after)
        self.held_out = held_out
        self.paired = paired
        self.late_pipeline = Compose(late_pipeline) if late_pipeline else None
        self.late_after = late_after
        self._check_combination()
        #: Seed of the samples' randomness; the sampler sets it.
        self.sample_seed: int | None = None
        #: Whether test samples say which of their pictures were in an earlier sample: the smaller
        #: folder begins again. Models of this package do not translate these a second time.
        self.marks_repeated = True
        super().__init__(data_root, pipeline, test_mode=split != 'train', **kwargs)

    def _check_combination(self) -> None:
        """Raise an error where arguments do not go together."""
        training = self.split == 'train'
        problems = {
            "late_pipeline is for split='train'": self.late_pipeline and not training,
            'late_after says when late_pipeline begins; give both': (
                self.late_after and self.late_pipeline is None
            ),
            'held_out divides the training folders into the splits train and val; give it to those,'
            ' not to the split test': self.held_out and self.split == 'test',
            "paired=True is for split='val' and 'test'; training draws the pictures of the two "
            'domains independently': self.paired and training,
            'paired=True needs pairs in the folders valA and valB; held_out takes pictures of '
            'trainA and trainB, which show different scenes': self.paired and self.held_out,
        }
        for problem, is_there in problems.items():
            if is_there:
                raise ValueError(f'UnpairedFolderDataset: {problem}')

    def load_data_list(self) -> list:
        """List the pictures of both domains, and look whether they can be used."""
        isdir, join = self.file_backend.isdir, self.file_backend.join_path
        root = str(self.data_root)
        if not isdir(root):
            raise FileNotFoundError(
                f'data_root {root!r} is not a folder ({abspath(root)}); {LAYOUT} below it'
            )
        self._check_validation([path for side in 'AB' if isdir(path := join(root, f'val{side}'))])
        folder = 'train' if self.held_out else self.split
        paths = [join(root, folder + side) for side in 'AB']
        for path in paths:
            if not isdir(path):
                raise FileNotFoundError(f'{path!r} is not a folder; {LAYOUT}')
        self.dataroot_a, self.dataroot_b = paths
        self.open_folders(paths, self.file_backend)
        if self.paired:
            self._check_pairs()
        return [self.data_infos_a, self.data_infos_b]

    def _check_validation(self, folders: list[str]) -> None:
        """Raise an error unless there is one way to validate; ``folders`` are those of 'val'."""
        if folders and self.held_out:
            raise ValueError(
                f'held_out={self.held_out}, but {" and ".join(folders)} '
                f'{"exist" if len(folders) > 1 else "exists"}: validate either on the pictures '
                'there (held_out=0) or on a part of the training folders (remove these folders)'
            )
        if self.split == 'val' and not (folders or self.held_out):
            raise ValueError(
                f"data_root {str(self.data_root)!r} has nothing for split='val': either put "
                'pictures into the folders valA and valB there, or set held_out=N on both the '
                'training and the validation set to take N pictures out of trainA and trainB'
            )

    def partners(self, labels: set[str]) -> set[str]:
        """Labels with those of the other picture of each pair."""
        if not self.paired:
            return labels
        scenes = {_scene(label) for label in labels}
        return {label for folder in self.folders for label in folder.all if _scene(label) in scenes}

    def choose(self) -> None:
        """Take the pictures of this split out of those that are used."""
        for folder in self.folders:
            if self.held_out:
                self._divide(folder)
        infos = [[dict(path=path) for path in folder.paths] for folder in self.folders]
        self.data_infos_a, self.data_infos_b = infos
        self.len_a, self.len_b = map(len, infos)

    def _divide(self, folder: PictureFolder) -> None:
        """Use the pictures that are held out of the training, or the others."""
        number, total = self.held_out, len(folder.paths)
        if number >= total:
            raise ValueError(
                f'held_out={number}, but folder {folder.folder!r} holds {total} pictures: some '
                'must be left to train on'
            )
        # The middles of as many equal parts.
        chosen = {(2 * i + 1) * total // (2 * number) for i in range(number)}
        is_val = self.split == 'val'
        folder.use([path for i, path in enumerate(folder.paths) if (i in chosen) == is_val])

    def _check_pairs(self) -> None:
        left_out = set(self.left_out)
        names = [
            [_scene(label) for label in folder.all if label not in left_out]
            for folder in self.folders
        ]
        for pair in zip_longest(*names):
            if pair[0] != pair[1]:
                first, second = ('none' if name is None else repr(name) for name in pair)
                raise ValueError(
                    f'{self.dataroot_a} ({len(names[0])} pictures) and {self.dataroot_b} '
                    f'({len(names[1])}) should hold pairs of the same names, but the first that '
                    f'differ are {first} and {second}; rename or remove pictures, or set '
                    'paired=False'
                )

    def get_data_info(self, idx: int) -> dict:
        """Paths of a sample, of those that stand in for pictures that turned bad.

        Outside training it says as well which of its pictures another sample has too.
        """
        info = super().get_data_info(idx)
        info['max_image_pixels'] = self.max_image_pixels
        domains = [self.domain_a, self.domain_b]
        read = {
            f'img_{domain}_path': folder.readable(info[f'img_{domain}_path'])
            for domain, folder in zip(domains, self.folders, strict=True)
        }
        bad = [d for d in domains if read[f'img_{d}_path'] != info[f'img_{d}_path']]
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
        pipeline = self.pipeline
        if self.late_pipeline is not None and begins >= self.late_after:
            pipeline = self.late_pipeline
        return pipeline(self.get_data_info(idx))

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


def _scene(label: str) -> str:
    """What the pictures of a pair have in common: the name in the folder without a suffix."""
    return PurePath(*PurePath(label).parts[1:]).with_suffix('').as_posix()
