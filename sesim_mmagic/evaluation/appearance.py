"""How translations look beside real pictures, without a network: patches and colours."""

import zlib
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sesim_mmagic.registry import METRICS
from sesim_mmagic.utils.checks import check_ints

from .patch_distance import (
    PATCH_SIZE,
    ROUNDING_ERROR,
    count_levels,
    draw_directions,
    draw_patches,
    laplacian_pyramid,
    sliced_wasserstein,
    windows_of,
)
from .set_metric import SetMetric, digest_of
from .set_scores import colour_spread


class Appearance(NamedTuple):
    """What is kept of a picture: its mean colour (3,) of 255, and patches (N, 147) of each level.

    Patches are float16: its error is below that of 8 bits.
    """

    colour: np.ndarray
    patches: list[np.ndarray]


@METRICS.register_module()
class AppearanceScores(SetMetric):
    """Distance of patches and spread of colours of translations beside all real pictures.

    No network judges, so none can have seen the pictures or taken part in the training.

    * ``swd``: sliced Wasserstein distance of 7 x 7 patches, as Karras et al., "Progressive Growing
      of GANs" (ICLR 2018), Sec. 5, compare sets of pictures; mean over ``swd_1``, ``swd_2``,
      ``swd_4``, ..., the levels of a Laplacian pyramid. :class:`PatchDistance` is the same of two
      pictures: it says what levels mean. Unit: thousandths of the standard deviation of a channel
      over the real set's patches (the paper divides either set by its own, so that a wrong colour
      or contrast would not count).
    * ``colour_spread``: root of the mean over channels of the variance, over translations, of a
      picture's mean colour, in levels of 255, [0, 127.5]: 0 if all have one colour. It is as large
      as ``colour_spread_real``, the same of the real pictures, where colours vary as they should.

    Patches are drawn in every picture, at positions that its pixels and ``seed`` decide; of the
    larger set as many are left out, at random, as it has more. A set against itself has other
    positions in each role, so it shows the floor of ``swd`` rather than 0: that of few patches,
    which falls with the root of their number.

    Memory: about 19 kB a picture and level for the default ``num_patches``.

    Args:
        target_domain (str): Domain of the translations ``fake_{target_domain}``.
        source_domain (str): Domain of the sources, by whose paths translations count once.
        max_levels (int): Most levels of the pyramid; a picture is halved while it keeps 32 pixels
            a side, and all must have equally many levels. Defaults to 5.
        num_patches (int): Patches of a picture, a level; all there are where that is less.
            Defaults to 64.
        num_directions (int): Directions of projection. Defaults to 128.
        seed (int): Seed of positions and directions. Defaults to 0.
        **kwargs: Those of :class:`SetMetric`.

    Raises:
        ValueError: If an argument is not positive, or a picture is smaller than a patch; on
            evaluation, if a set has fewer than two pictures or pictures of too different sizes.
    """

    default_prefix = 'appearance'

    def __init__(
        self,
        target_domain: str,
        source_domain: str,
        *,
        max_levels: int = 5,
        num_patches: int = 64,
        num_directions: int = 128,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(target_domain, source_domain, **kwargs)
        check_ints(self, 1, max_levels=max_levels, num_patches=num_patches)
        check_ints(self, 1, num_directions=num_directions)
        self.max_levels = max_levels
        self.num_patches = num_patches
        self.num_directions = num_directions
        self.seed = seed

    def check_numbers(self, num_real: int, num_fake: int) -> None:
        """Raise ``ValueError`` if a set has fewer than two pictures."""
        if min(num_real, num_fake) < 2:
            raise ValueError(
                'AppearanceScores: at least 2 real pictures and as many translations of different '
                f'sources are needed, got {num_real} and {num_fake}; test on more pictures'
            )

    def extract(self, pixels: np.ndarray, is_real: bool) -> Appearance:
        """Mean colour of a picture, and patches of its levels."""
        smallest = min(pixels.shape[:2])
        if smallest < PATCH_SIZE:
            raise ValueError(
                f'AppearanceScores: a {"real picture" if is_real else "translation"} has '
                f'{pixels.shape[0]} x {pixels.shape[1]} pixels; it must hold a patch of '
                f'{PATCH_SIZE} x {PATCH_SIZE}'
            )
        # Neither the order of pictures nor the rank decides where patches lie.
        words = f'{self.seed} {is_real} {digest_of(pixels)}'
        generator = torch.Generator().manual_seed(zlib.crc32(words.encode()))
        patches = [
            draw_patches(windows_of(level), self.num_patches, generator).half().numpy()
            for level in laplacian_pyramid(pixels, count_levels(smallest, self.max_levels))
        ]
        return Appearance(pixels.mean(axis=(0, 1)), patches)

    def compare(self, real: list[Appearance], fake: list[Appearance]) -> dict[str, float]:
        """Scores of two sets."""
        counts = {len(picture.patches) for picture in (*real, *fake)}
        if len(counts) > 1:
            raise ValueError(
                f'AppearanceScores: pictures of these sizes have {min(counts)} to {max(counts)} '
                f'levels, and all must have equally many; set max_levels={min(counts)}'
            )
        generator = torch.Generator().manual_seed(self.seed)  # not the process's own
        directions = draw_directions(3 * PATCH_SIZE**2, self.num_directions, generator)
        scores = {
            f'swd_{2**i}': 1000 * self._distance(real, fake, i, directions, generator)
            for i in range(counts.pop())
        }
        return scores | dict(
            swd=float(np.mean(list(scores.values()))),
            colour_spread=colour_spread(np.array([picture.colour for picture in fake])),
            colour_spread_real=colour_spread(np.array([picture.colour for picture in real])),
        )

    def _distance(
        self,
        real: list[Appearance],
        fake: list[Appearance],
        level: int,
        directions: Tensor,
        generator: torch.Generator,
    ) -> float:
        """Distance between the patches of one level."""
        first, second = (
            torch.from_numpy(np.concatenate([picture.patches[level] for picture in pictures]))
            .float()
            .unflatten(1, (3, -1))
            for pictures in (real, fake)
        )
        deviation = first.std(dim=(0, 2), correction=0).clamp(min=ROUNDING_ERROR)[:, None]
        count = min(len(first), len(second))
        chosen = [
            (points[torch.randperm(len(points), generator=generator)[:count]] / deviation)
            .flatten(1)
            .to(self.device)
            for points in (first, second)
        ]
        return sliced_wasserstein(chosen[0], chosen[1], directions.to(self.device))
