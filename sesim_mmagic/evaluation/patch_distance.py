"""How far the patches of one translation are from those of one real picture."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from sesim_mmagic.registry import METRICS
from sesim_mmagic.utils.checks import check_ints

from .translation_metric import TranslationMetric

PATCH_SIZE = 7  # pixels of a level
# A level below this side has too few patches that do not overlap to be called a distribution.
SMALLEST_SIDE = 32
# Deviation in grey levels of what rounding to 8 bits adds: less than this is no texture.
ROUNDING_ERROR = 12**-0.5


@METRICS.register_module()
class PatchDistance(TranslationMetric):
    """Sliced Wasserstein distance between the patches of a translation and of its real picture.

    For single-image translation, where sets of pictures (FID) do not exist: does every part of
    the translation look like some part of the one picture of the target domain, and in equal
    shares? Where in the picture is not asked, so nothing is said about structure, and the sizes
    may differ.

    The statistic is that of Karras et al., "Progressive Growing of GANs" (ICLR 2018), Sec. 5:
    7 x 7 patches of the levels of a Laplacian pyramid; per level the mean over random unit
    directions of the Wasserstein-1 distance between the two sets of projections, times 1000. Two
    points differ, and so do the figures: the channels of both pictures are divided by the
    deviations of the *real* picture's (the paper normalizes each set by itself, so that a wrong
    colour or contrast would not count), and patches are drawn without replacement.

    Keys: ``swd_1``, ``swd_2``, ``swd_4``, ..., where a pixel of the level has the side of 1, 2, 4
    pixels of the picture, and ``swd``, a picture's mean over its levels. A picture is halved
    while it and its real picture keep 32 pixels a side; a level's score is the mean over the
    pictures that have it. Unit: thousandths of the real level's standard deviation. The last
    level holds the colours, the ones before it details alone.

    Few patches keep the score from 0: a picture against itself gives 0 on levels whose patches
    are all used, and on the others a floor that falls with the root of ``num_patches`` (about 15
    for the usual 16384). The last level often weighs most in ``swd``: read the levels too.

    Args:
        target_domain (str): Samples hold ``fake_{target_domain}`` and ``img_{target_domain}``.
        max_levels (int): Most levels of the pyramid. Defaults to 5.
        num_patches (int): Patches of either picture, a level; as many as the smaller one has
            where that is less. Defaults to 16384.
        num_directions (int): Directions of projection. Defaults to 512.
        seed (int): Seed of positions and directions, the same for every sample. Defaults to 0.
        **kwargs: Those of :class:`TranslationMetric`.

    Raises:
        ValueError: If an argument is not positive.
    """

    default_prefix = 'patch'

    def __init__(
        self,
        target_domain: str,
        *,
        max_levels: int = 5,
        num_patches: int = 16384,
        num_directions: int = 512,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(target_domain, **kwargs)
        check_ints(self, 1, max_levels=max_levels, num_patches=num_patches)
        check_ints(self, 1, num_directions=num_directions)
        self.max_levels = max_levels
        self.num_patches = num_patches
        self.num_directions = num_directions
        self.seed = seed

    def measure(self, sample: Mapping) -> dict[str, float]:
        """Distance of one translation from its real picture, a level and on average.

        Raises:
            ValueError: If the sample lacks one of them, or one is smaller than a patch.
        """
        keys = f'img_{self.target_domain}', f'fake_{self.target_domain}'
        pictures = [self.picture(sample, key) for key in keys]
        for key, picture in zip(keys, pictures, strict=True):
            if min(picture.shape[:2]) < PATCH_SIZE:
                raise ValueError(
                    f'PatchDistance: {key} has {picture.shape[0]} x {picture.shape[1]} pixels; it '
                    f'must hold a patch of {PATCH_SIZE} x {PATCH_SIZE}'
                )
        generator = torch.Generator().manual_seed(self.seed)  # not the process's own
        directions = draw_directions(3 * PATCH_SIZE**2, self.num_directions, generator)
        smallest = min(side for picture in pictures for side in picture.shape[:2])
        count = count_levels(smallest, self.max_levels)
        levels = zip(*[laplacian_pyramid(picture, count) for picture in pictures], strict=True)
        scores = {
            f'swd_{2**i}': 1000 * self._compare(real, fake, directions, generator)
            for i, (real, fake) in enumerate(levels)
        }
        return scores | dict(swd=float(np.mean(list(scores.values()))))

    def _compare(
        self, real: np.ndarray, fake: np.ndarray, directions: Tensor, generator: torch.Generator
    ) -> float:
        """Distance between the patches of two levels."""
        # No mean is taken off: the same one off both sides leaves the distance as it is.
        deviation = np.maximum(real.std(axis=(0, 1)), ROUNDING_ERROR)
        levels = [level / deviation for level in (real, fake)]
        windows = [windows_of(level) for level in levels]
        count = min(self.num_patches, *(window.shape[:2].numel() for window in windows))
        first, second = (draw_patches(w, count, generator).to(self.device) for w in windows)
        return sliced_wasserstein(first, second, directions.to(self.device))

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Mean of every level over the pictures of all ranks that are large enough for it."""
        largest = max(results, key=len)
        return {k: float(np.mean([r[k] for r in results if k in r])) for k in largest}


def count_levels(smallest_side: int, max_levels: int) -> int:
    """Levels of a pyramid that keep :data:`SMALLEST_SIDE` pixels a side; the first always does."""
    levels = 1
    while levels < max_levels and (smallest_side := (smallest_side + 1) // 2) >= SMALLEST_SIDE:
        levels += 1
    return levels


def laplacian_pyramid(picture: np.ndarray, num_levels: int) -> list[np.ndarray]:
    """Details lost at every halving, then the smallest picture (Burt and Adelson, 1983).

    Level ``i`` of a picture (H, W, 3) has the sides ``ceil(H / 2^i)`` and ``ceil(W / 2^i)``,
    float32, in the picture's units.
    """
    # OpenCV continues the picture at its borders, as the paper's code. MMagic's pyramid pads with
    # zeros, which draws a frame into every level, and needs sides that halve without a rest.
    levels, current = [], np.asarray(picture, np.float32)
    for _ in range(num_levels - 1):
        smaller = np.asarray(cv2.pyrDown(current), np.float32)
        levels.append(current - cv2.pyrUp(smaller, dstsize=current.shape[1::-1]))
        current = smaller
    return [*levels, current]


def windows_of(level: np.ndarray) -> Tensor:
    """All patches of a level (H, W, 3), overlapping ones: a view (rows, columns, 3, 7, 7)."""
    return torch.from_numpy(level).unfold(0, PATCH_SIZE, 1).unfold(1, PATCH_SIZE, 1)


def draw_patches(windows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Patches (count, 147) at random positions, none twice."""
    rows, columns = windows.shape[:2]
    positions = torch.randperm(rows * columns, generator=generator)[:count]
    return windows[positions // columns, positions % columns].flatten(1)


def draw_directions(dimension: int, count: int, generator: torch.Generator) -> Tensor:
    """Random unit vectors, evenly spread over the sphere: (count, dimension), float32."""
    directions = torch.randn(count, dimension, generator=generator)
    return directions / directions.norm(dim=1, keepdim=True)


def sliced_wasserstein(first: Tensor, second: Tensor, directions: Tensor) -> float:
    """Mean over directions (K, D) of the Wasserstein-1 distance between projections of two sets
    (N, D), in their units.

    In one dimension the best transport keeps the order, so the distance of two sets of equal
    size is the mean difference of their sorted values.
    """
    # MMagic's function of this name draws from the global state and always moves to the GPU.
    total = 0.0
    for some in directions.split(32):  # bounds the memory
        values = [(some @ points.T).sort(dim=1).values for points in (first, second)]
        total += float((values[0] - values[1]).abs().mean(dim=1).sum())
    return total / len(directions)
