"""Crops of two single pictures, one a domain, at random zooms."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.dataset import Compose
from mmengine.fileio import exists, isdir
from PIL import Image
from torch.utils.data import Dataset

from sesim_mmagic.registry import DATASETS
from sesim_mmagic.utils.checks import check_choice, check_ints, check_numbers
from sesim_mmagic.utils.random import seeded_generators

from .formatting import PackDomains
from .picture_folder import SPLITS
from .sources import list_pictures, load_picture

DOMAINS = ('A', 'B')


class Crop(NamedTuple):
    """A square of the zoomed picture: sizes and places in its pixels, width before height."""

    zoomed: tuple[int, int]
    left: int
    top: int
    flipped: bool


@DATASETS.register_module()
class SingleImagePairDataset(Dataset):
    """Training crops of two pictures, one a domain; for the other splits, the whole pictures.

    Single-image translation (Zheng et al., CVPR 2021): a group of ``crops_per_zoom`` crops is
    cut out of one zoom of each picture, width and height zoomed by factors of their own, from
    cells of a grid at a random place, in random order and without repetition; where the grid has
    fewer cells than the group has crops, another grid follows. Half of the crops are mirrored. A
    and B are drawn independently.

    Sample ``k`` is a function of ``(sample_seed, k)``, its group is ``k // crops_per_zoom``, and
    ``k`` counts on through the passes. So, with ``ResumableSampler`` and ``shuffle=False``, a step
    of the training has one zoom where ``crops_per_zoom = batch size * ranks`` (times the
    accumulated steps): two ranks with 8 crops see together what one with 16 sees. With samplers
    that set no ``sample_seed``, each process draws one from NumPy's generator, once.

    Both pictures are decoded once, when the dataset is built, and stay in memory with 4 bytes a
    pixel; forked workers share them.

    Args:
        A (str | None): Picture of the first domain, or a folder that holds one picture and no
            second. None stands in configs for what has to be given.
        B (str | None): The same for the second domain.
        pipeline (list): Transforms of ``img_A`` and ``img_B``, arrays (H, W, 3), BGR, uint8, and
            of what ``LoadPicture`` leaves besides; at least ``PackDomains``.
        split (str): 'train', or 'val' and 'test', which are the same: one sample, the whole
            pictures, nothing random. Defaults to 'train'.
        crop_size (int): Side of the crops in pixels. Defaults to 128.
        min_zoom (float): Factors are uniform from here to 1, above 0; zoomed sides never go
            below ``crop_size``. Defaults to 1/3.
        crops_per_zoom (int): Crops of a domain from one zoom. Defaults to 16.
        length (int): Samples of one pass of the training. Defaults to 100000.
        max_image_pixels (int, optional): Most pixels of a picture. Defaults to None: 178956970,
            Pillow's limit.

    Raises:
        FileNotFoundError: If ``A`` or ``B`` does not exist.
        ValueError: If one is None, a folder holds no picture or several, a picture cannot be read
            or is smaller than a crop, the two hold the same pixels, or an argument is out of range.
    """

    #: The crops of one zoom come one after the other; a sampler must not mix them.
    in_order = True
    #: What MMEngine's loops hand to evaluators and visualisers.
    metainfo = dict(dataset_type='single_image_pair', task_name='unpaired_translation')

    def __init__(
        self,
        A: str | None,
        B: str | None,
        pipeline: list,
        split: str = 'train',
        crop_size: int = 128,
        min_zoom: float = 1 / 3,
        crops_per_zoom: int = 16,
        length: int = 100_000,
        max_image_pixels: int | None = None,
    ) -> None:
        check_choice(self, SPLITS, split=split)
        check_ints(self, 1, crop_size=crop_size, crops_per_zoom=crops_per_zoom, length=length)
        check_numbers(self, above=0, most=1, min_zoom=min_zoom)  # pictures are not enlarged
        self.split = split
        self.crop_size = crop_size
        self.min_zoom = min_zoom
        self.crops_per_zoom = crops_per_zoom
        self.length = length
        self.max_image_pixels = max_image_pixels
        #: Seed of the samples' randomness; the sampler sets it.
        self.sample_seed: int | None = None
        self.paths = {name: _one_picture(name, path) for name, path in dict(A=A, B=B).items()}
        self._pictures = self._load()
        self._group: tuple[tuple[int, int] | None, dict[str, list[Crop]]] = (None, {})
        self.pipeline = Compose(pipeline)
        # Packing draws nothing, and seeding the generators takes a third of the time of a sample.
        self._pipeline_may_draw = any(
            not isinstance(transform, PackDomains) for transform in self.pipeline.transforms
        )

    def _load(self) -> dict[str, Image.Image]:
        """Both pictures, as Pillow's for its resampling; their channels stay BGR."""
        pixels = {
            name: load_picture(path, max_pixels=self.max_image_pixels)
            for name, path in self.paths.items()
        }
        if np.array_equal(pixels['A'], pixels['B']):
            raise ValueError(
                'SingleImagePairDataset: A and B hold the same pixels, there is nothing to '
                f'translate: {" and ".join(map(repr, self.paths.values()))}; give two pictures'
            )
        for name, picture in pixels.items():
            height, width = picture.shape[:2]
            if self.split == 'train' and min(height, width) < self.crop_size:
                raise ValueError(
                    f'SingleImagePairDataset: {name}, picture {self.paths[name]!r}, is {height} x '
                    f'{width} pixels (height x width), too small for crops of {self.crop_size}; '
                    f'enlarge it first, or set crop_size={min(height, width)} or less'
                )
        return {name: Image.fromarray(picture) for name, picture in pixels.items()}

    def __len__(self) -> int:
        """Samples of one pass of the training; otherwise 1."""
        return self.length if self.split == 'train' else 1

    def __getitem__(self, index: int) -> dict:
        """A sample; in training, ``index`` may count on through passes (``ResumableSampler``)."""
        if self.split != 'train':
            if index not in (0, -1):
                raise IndexError(f'the split {self.split!r} has one sample, there is no {index}')
            return self.pipeline(self._results({n: np.array(p) for n, p in self._pictures.items()}))
        index = index % self.length if index < 0 else index
        if self.sample_seed is None:
            self.sample_seed = int(np.random.randint(2**31))
        seed = self.sample_seed
        group, number = divmod(index, self.crops_per_zoom)
        crops = self._crops_of(seed, group)
        results = self._results(
            {n: cut(p, crops[n][number], self.crop_size) for n, p in self._pictures.items()}
        )
        if not self._pipeline_may_draw:
            return self.pipeline(results)
        with seeded_generators(seed, index):
            return self.pipeline(results)

    def _crops_of(self, seed: int, group: int) -> dict[str, list[Crop]]:
        """All crops of a group by domain; the last group's are kept, its samples come in a row."""
        if self._group[0] != (seed, group):
            crops = {
                name: draw_crops(
                    np.random.default_rng((seed, group, domain)),
                    self._pictures[name].size,
                    self.crop_size,
                    self.min_zoom,
                    self.crops_per_zoom,
                )
                for domain, name in enumerate(DOMAINS)
            }
            self._group = (seed, group), crops
        return self._group[1]

    def _results(self, pixels: dict[str, np.ndarray]) -> dict:
        """What a pipeline with ``LoadPicture`` would have at this point."""
        results: dict[str, Any] = {}
        for name, picture in pixels.items():
            width, height = self._pictures[name].size
            results[f'img_{name}_path'] = self.paths[name]
            results[f'img_{name}'] = picture
            results[f'ori_img_{name}_shape'] = (height, width, 3)
            results[f'img_{name}_channel_order'] = 'BGR'
            results[f'img_{name}_color_type'] = 'color'
        return results


def draw_crops(
    rng: np.random.Generator, size: tuple[int, int], crop_size: int, min_zoom: float, count: int
) -> list[Crop]:
    """Draw a zoom of a picture and ``count`` crops of it (see :class:`SingleImagePairDataset`).

    Args:
        rng (np.random.Generator): Source of all draws.
        size (tuple[int, int]): Width and height of the picture, neither below ``crop_size``.
        crop_size (int): Side of the crops in pixels.
        min_zoom (float): Smallest zoom factor.
        count (int): Number of crops.

    Returns:
        list[Crop]: They lie inside the zoomed picture, which is the same for all.
    """
    factors = rng.uniform(min_zoom, 1, 2)
    width, height = (
        max(crop_size, round(side * float(factor)))
        for side, factor in zip(size, factors, strict=True)
    )
    zoomed = width, height
    flips = (rng.random(count) < 0.5).tolist()
    corners = islice(_corners(rng, zoomed, crop_size), count)
    return [Crop(zoomed, *corner, flip) for corner, flip in zip(corners, flips, strict=True)]


def _corners(
    rng: np.random.Generator, zoomed: tuple[int, int], crop_size: int
) -> Iterator[tuple[int, int]]:
    """Left and top of the cells of randomly placed grids, each in random order, without end."""
    columns, rows = (side // crop_size for side in zoomed)
    while True:
        left, top = (int(rng.integers(side % crop_size + 1)) for side in zoomed)
        for cell in rng.permutation(columns * rows).tolist():
            row, column = divmod(cell, columns)
            yield left + column * crop_size, top + row * crop_size


def cut(picture: Image.Image, crop: Crop, crop_size: int) -> np.ndarray:
    """Cut a crop out of a zoomed picture without zooming the rest.

    Pillow's bilinear filter (antialiased, as in the authors' code) reads what it needs beyond
    ``box``. The crop differs from that of the wholly zoomed picture by one level of 255 at most,
    since Pillow keeps boxes in single precision.

    Args:
        picture (Image.Image): The picture, not zoomed.
        crop (Crop): Where to cut.
        crop_size (int): Side of the crop in pixels.

    Returns:
        np.ndarray: Shape (crop_size, crop_size, C), uint8, contiguous and writable.
    """
    across, down = (
        (start * whole / zoomed, (start + crop_size) * whole / zoomed)
        for start, whole, zoomed in zip(
            (crop.left, crop.top), picture.size, crop.zoomed, strict=True
        )
    )
    box = across[0], down[0], across[1], down[1]
    piece = picture.resize((crop_size, crop_size), Image.Resampling.BILINEAR, box=box)
    if crop.flipped:
        piece = piece.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.array(piece)


def _one_picture(name: str, path: str | Path | None) -> str:
    """The file that ``path`` means: itself, or the one picture of the folder."""
    owner = f'SingleImagePairDataset: {name}'
    if not isinstance(path, (str, Path)) or not str(path):
        raise ValueError(
            f'{owner} must be the path of a picture, or of a folder that holds one picture, got '
            f'{path!r}'
        )
    path = str(path)
    if not isdir(path):
        if not exists(path):
            raise FileNotFoundError(
                f'{owner}={path!r} does not exist; give the path of a picture, or of a folder that '
                'holds one picture'
            )
        return path
    try:
        paths = list_pictures(path)
    except ValueError as error:
        raise ValueError(f'{owner}: {error}; exactly one is expected') from None
    if len(paths) > 1:
        names = ', '.join(repr(Path(file).name) for file in paths[:3])
        raise ValueError(
            f'{owner}={path!r} holds {len(paths)} pictures ({names}'
            f'{", ..." if len(paths) > 3 else ""}) where exactly one is expected; give the path of '
            'the picture itself, or leave one picture there'
        )
    return paths[0]
