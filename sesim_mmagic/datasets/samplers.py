"""An endless sampler that can begin anywhere."""

from collections.abc import Iterator, Sized
from itertools import count

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from sesim_mmagic.registry import DATA_SAMPLERS
from sesim_mmagic.utils.checks import check_ints


@DATA_SAMPLERS.register_module()
class ResumableSampler(Sampler):
    """Shuffled passes over a dataset without end, shared among ranks, from any position.

    Position ``k`` of the training always holds the same sample, whatever happened before:
    pass ``p`` is a permutation drawn from ``(seed, p)``, and rank ``r`` of ``R`` takes the
    positions ``r, r + R, r + 2 R, ...``. So a training resumes in its order by setting
    :attr:`start`, without loading what it has already seen.

    Yields *virtual* indices ``p * len(dataset) + i``: the sample is ``i``, and the pass keeps
    its random crop apart from that of every other pass. The dataset learns the seed of those
    draws through its attribute ``sample_seed``.

    Args:
        dataset (Sized): A dataset that takes virtual indices; it says so by having an attribute
            ``sample_seed`` (see :class:`UnpairedFolderDataset`).
        seed (int, optional): Seed of the order, the same on all ranks. Defaults to None: the
            ranks agree on one, drawn from NumPy's generator (MMEngine gives no seed where
            ``randomness.diff_rank_seed`` is set).
        shuffle (bool): Whether passes are permuted. Defaults to True.

    Raises:
        ValueError: If the dataset is empty, does not take virtual indices, or is to be read in
            its order (attribute ``in_order``) and ``shuffle`` is set; or ``seed`` is negative.
    """

    def __init__(self, dataset: Sized, seed: int | None = None, shuffle: bool = True) -> None:
        if not hasattr(dataset, 'sample_seed'):
            raise ValueError(
                'ResumableSampler yields indices beyond the length of the dataset, which '
                f'{type(dataset).__name__} does not expect (it has no sample_seed); use '
                'sesim_mmagic.UnpairedFolderDataset, or '
                "sampler=dict(type='InfiniteSampler', shuffle=True)"
            )
        if shuffle and getattr(dataset, 'in_order', False):
            raise ValueError(
                f'ResumableSampler: {type(dataset).__name__} gives its samples in random order '
                'already, and those of one step must come together: set shuffle=False'
            )
        if len(dataset) < 1:
            raise ValueError('ResumableSampler: the dataset is empty')
        self.dataset = dataset
        self.seed = sync_random_seed() if seed is None else seed
        check_ints(self, 0, seed=self.seed)
        self.shuffle = shuffle
        self.rank, self.world_size = get_dist_info()
        #: Number of samples that this rank has already seen; the next iterator begins there.
        self.start = 0
        dataset.sample_seed = self.seed

    def __iter__(self) -> Iterator[int]:
        return self._indices_from(self.start)

    def _indices_from(self, start: int) -> Iterator[int]:
        size, current = len(self.dataset), None
        for position in count(self.rank + start * self.world_size, self.world_size):
            number, offset = divmod(position, size)
            if number != current:
                current, order = number, np.arange(size)
                if self.shuffle:
                    order = np.random.default_rng((self.seed, number)).permutation(size)
            yield number * size + int(order[offset])

    def __len__(self) -> int:
        """Samples of one pass over all ranks; the sampler itself does not end."""
        return len(self.dataset)

    def set_epoch(self, epoch: int) -> None:
        """Nothing to do: the order depends on the position alone."""
