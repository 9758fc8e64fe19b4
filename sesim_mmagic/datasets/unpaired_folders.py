"""Unpaired folders of pictures, with randomness that belongs to the sample."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmagic.datasets import UnpairedImageDataset
from mmagic.datasets.unpaired_image_dataset import IMG_EXTENSIONS

from sesim_mmagic.registry import DATASETS

LAYOUT = 'pictures of the two domains lie in trainA, trainB, testA and testB'


@DATASETS.register_module()
class UnpairedFolderDataset(UnpairedImageDataset):
    """MMagic's unpaired folders, checked when built and reproducible sample by sample.

    In training, whatever is random about a sample (its partner from B, crops, flips, colours)
    is drawn from generators seeded with ``(sample_seed, index)``, not from those of the
    process. Neither the number of workers nor an interruption changes what a training sees.

    Args:
        data_root (str): Folder with ``trainA``, ``trainB``, ``testA`` and ``testB``.
        pipeline (list[dict]): Transforms of ``img_A_path`` and ``img_B_path``.
        test_mode (bool): Read the test folders, in order and without randomness.
            Defaults to False.
        paired (bool): Whether ``testA/x`` and ``testB/x`` show the same scene, so that one is
            the truth of the other; their names are compared. Defaults to False.
        **kwargs: Those of MMagic's ``UnpairedImageDataset``.

    Raises:
        FileNotFoundError: If a folder is missing.
        ValueError: If a folder holds no pictures, or names of pairs do not match.
    """

    #: Seed of the samples' randomness; the sampler sets it.
    sample_seed = 0

    def __init__(
        self,
        data_root: str,
        pipeline: list,
        test_mode: bool = False,
        paired: bool = False,
        **kwargs: Any,
    ) -> None:
        _check_folders(data_root, 'test' if test_mode else 'train', kwargs.get('io_backend'))
        super().__init__(data_root, pipeline, test_mode=test_mode, **kwargs)
        if paired:
            self._check_pairs()

    def _check_pairs(self) -> None:
        stems = [
            [Path(info['path']).stem for info in infos]
            for infos in (self.data_infos_a, self.data_infos_b)
        ]
        if stems[0] != stems[1]:
            unmatched = sorted(set(stems[0]) ^ set(stems[1]))
            raise ValueError(
                f'{self.dataroot_a} and {self.dataroot_b} should hold pairs of the same names, but '
                f'{len(unmatched)} have no partner, the first: {unmatched[:3]}; rename or remove '
                'them, or set paired=False'
            )

    def __getitem__(self, index: int) -> dict:
        """A sample; ``index`` may count on through passes (see ``ResumableSampler``)."""
        if self.test_mode:
            return super().__getitem__(index)
        with seeded_generators(self.sample_seed, index):
            return super().__getitem__(index)


@contextmanager
def seeded_generators(*entropy: int) -> Iterator[None]:
    """Seed Python's, NumPy's and torch's global generators, and give them back untouched.

    Args:
        *entropy (int): Non-negative numbers that name the stream.
    """
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    words = np.random.SeedSequence(entropy).generate_state(3)
    random.seed(int(words[0]))
    np.random.seed(words[1])
    torch.manual_seed(int(words[2]))
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def _check_folders(data_root: str, phase: str, io_backend: str | None) -> None:
    """Raise an error that names the folder, before MMagic fails on an empty list."""
    if io_backend not in (None, 'local', 'disk') or '://' in str(data_root):
        return
    if not Path(data_root).is_dir():
        raise FileNotFoundError(
            f'data_root {str(data_root)!r} is no folder (working directory: {Path.cwd()}); '
            f'{LAYOUT} below it'
        )
    for folder in (Path(data_root, phase + side) for side in 'AB'):
        if not folder.is_dir():
            raise FileNotFoundError(f'{folder} does not exist; {LAYOUT} of {data_root}')
        if not any(path.name.endswith(IMG_EXTENSIONS) for path in folder.rglob('*')):
            raise ValueError(
                f'{folder} holds no picture; put files there whose names end in one of '
                f'{", ".join(e for e in IMG_EXTENSIONS if e.islower())}'
            )
