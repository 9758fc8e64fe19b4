"""Unpaired folders of pictures, with randomness that belongs to the sample."""

from itertools import zip_longest
from os.path import abspath
from pathlib import Path
from typing import Any

from mmagic.datasets.unpaired_image_dataset import IMG_EXTENSIONS, UnpairedImageDataset

from sesim_mmagic.registry import DATASETS

from .random_state import seeded_generators

LAYOUT = 'pictures of the two domains lie in trainA and trainB (training), testA and testB (test)'


@DATASETS.register_module()
class UnpairedFolderDataset(UnpairedImageDataset):
    """MMagic's unpaired folders, checked when built and reproducible sample by sample.

    Where :attr:`sample_seed` is set (``ResumableSampler`` does so), whatever is random about a
    training sample (its partner from B, crops, flips, colours) is drawn from generators seeded
    with ``(sample_seed, index)``, not from those of the process. Neither the number of workers
    nor an interruption changes what a training sees. With other samplers, samples draw from the
    generators of the process, as MMagic's do.

    Args:
        data_root (str): Folder with ``trainA``, ``trainB``, ``testA`` and ``testB``.
        pipeline (list[dict]): Transforms of ``img_A_path`` and ``img_B_path``.
        test_mode (bool): Read the test folders, in order and without randomness.
            Defaults to False.
        paired (bool): Whether ``testA/x`` and ``testB/x`` show the same scene, so that one is
            the truth of the other; their names are compared, without extensions.
            Defaults to False.
        **kwargs: Those of MMagic's ``UnpairedImageDataset``.

    Raises:
        FileNotFoundError: If a folder is missing.
        ValueError: If a folder holds no pictures, names of pairs do not match, or ``paired`` is
            asked of a training set.
    """

    def __init__(
        self,
        data_root: str,
        pipeline: list,
        test_mode: bool = False,
        paired: bool = False,
        **kwargs: Any,
    ) -> None:
        if paired and not test_mode:
            raise ValueError(
                'UnpairedFolderDataset: paired=True is for test sets (test_mode=True); training '
                'draws the pictures of the two domains independently'
            )
        #: Seed of the samples' randomness; the sampler sets it.
        self.sample_seed: int | None = None
        super().__init__(data_root, pipeline, test_mode=test_mode, **kwargs)
        if paired:
            self._check_pairs()

    def load_data_list(self) -> list:
        """List the pictures of both domains."""
        if not self.file_backend.isdir(self.data_root):
            raise FileNotFoundError(
                f'data_root {str(self.data_root)!r} is no folder '
                f'({abspath(str(self.data_root))}); {LAYOUT} below it'
            )
        return super().load_data_list()

    def scan_folder(self, path: str) -> list[str]:
        """List the pictures of one domain, in folders below ``path`` too."""
        if not self.file_backend.isdir(path):
            raise FileNotFoundError(f'folder {str(path)!r} does not exist; {LAYOUT}')
        names = self.file_backend.list_dir_or_file(
            path, list_dir=False, suffix=IMG_EXTENSIONS, recursive=True
        )
        paths = [self.file_backend.join_path(path, name) for name in names]
        if not paths:
            raise ValueError(
                f'folder {str(path)!r} holds no picture; put files there whose names end in one '
                f'of {", ".join(e for e in IMG_EXTENSIONS if e.islower())}'
            )
        return paths

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

    def __getitem__(self, index: int) -> dict:
        """A sample; ``index`` may count on through passes (see ``ResumableSampler``)."""
        if self.test_mode or self.sample_seed is None:
            return super().__getitem__(index)
        with seeded_generators(self.sample_seed, index % len(self) if index < 0 else index):
            return super().__getitem__(index)
