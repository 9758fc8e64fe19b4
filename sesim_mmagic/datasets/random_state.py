"""Randomness as a function of a position instead of the history of the process."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


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
    for_python, for_numpy, for_torch = np.random.SeedSequence(entropy).spawn(3)
    try:
        random.seed(for_python.generate_state(4).tobytes())
        np.random.seed(for_numpy.generate_state(4))
        # torch.manual_seed would seed the accelerators as well, in the midst of a training.
        torch.default_generator.manual_seed(int(for_torch.generate_state(1, np.uint64)[0]))
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
