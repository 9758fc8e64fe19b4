"""Randomness as a function of a position instead of the history of the process."""

import random
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice

import numpy as np
import torch


def seed_generators(*entropy: int) -> None:
    """Seed the global generators of Python, NumPy and torch (CPU and every CUDA device).

    A training that resumes must draw the random numbers that the uninterrupted one would have
    drawn. Saving generator states does not achieve this: there is one for each library, rank and
    device, a checkpoint written on a GPU would not continue on another number of them, and
    everything that draws between two iterations (validation, visualisation, the start of data
    loading workers) would shift the stream. Seeded from (seed, rank, iteration), an iteration
    depends on its number alone, and the checkpoint needs no generator state at all.

    Args:
        *entropy (int): Non-negative integers. ``SeedSequence`` mixes them, so that neighbouring
            values (iteration 7 of seed 0, iteration 0 of seed 7) give unrelated streams.
    """
    high, low = _seed_python_and_numpy(entropy).generate_state(2)
    torch.manual_seed((int(high) >> 1) << 32 | int(low))  # manual_seed covers CUDA devices


@contextmanager
def seeded_generators(*entropy: int) -> Iterator[None]:
    """Seed the global Python, NumPy and torch CPU generators, and give them back untouched.

    Transforms draw from the global generators; within this context what they draw depends on
    ``entropy`` alone, whatever ran before and in whichever worker process. Generators of
    accelerators are left alone.

    Args:
        *entropy (int): Non-negative integers, e.g. seed and position of a sample.
    """
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        seed = _seed_python_and_numpy(entropy).generate_state(1, np.uint64)[0]
        # torch.manual_seed would seed the accelerators as well, in the midst of a training.
        torch.default_generator.manual_seed(int(seed))
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def deal(names: Iterable[str], counts: Mapping[str, int], seed: int) -> dict[str, list[str]]:
    """Deal names at random to the parts of a data set, none to two of them.

    A part stays the same whatever the counts of those after it.

    Args:
        names (Iterable[str]): What is dealt; its order does not matter.
        counts (Mapping[str, int]): Non-negative number of names of every part.
        seed (int): Non-negative seed.

    Returns:
        dict[str, list[str]]: Sorted names of every part.

    Raises:
        ValueError: If there are fewer names than the parts need.
    """
    shuffled = np.random.default_rng(seed).permutation(sorted(names)).tolist()
    if sum(counts.values()) > len(shuffled):
        wanted = ' + '.join(f'{count} {part}' for part, count in counts.items())
        raise ValueError(
            f'{wanted} are {sum(counts.values())}, and there are {len(shuffled)}; ask for fewer'
        )
    names_left = iter(shuffled)
    return {part: sorted(islice(names_left, count)) for part, count in counts.items()}


def _seed_python_and_numpy(entropy: tuple[int, ...]) -> np.random.SeedSequence:
    """Seed two libraries; what is left for torch."""
    for_python, for_numpy, for_torch = np.random.SeedSequence(entropy).spawn(3)
    random.seed(for_python.generate_state(4).tobytes())
    np.random.seed(for_numpy.generate_state(4))
    return for_torch
