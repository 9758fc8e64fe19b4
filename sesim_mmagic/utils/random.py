"""Randomness as a function of a position instead of the history of the process."""

import random

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
    for_python, for_numpy, for_torch = np.random.SeedSequence(entropy).spawn(3)
    random.seed(for_python.generate_state(4).tobytes())
    np.random.seed(for_numpy.generate_state(4))
    high, low = for_torch.generate_state(2)
    torch.manual_seed((int(high) >> 1) << 32 | int(low))  # manual_seed covers CUDA devices
