import random

import numpy as np
import pytest
import torch

from sesim_mmagic.utils.random import deal, seed_generators


def draw():
    return random.random(), float(np.random.random()), float(torch.rand(()))


def draws(seed, iteration):
    seed_generators(seed, 0, iteration)
    return draw()


def test_numbers_depend_on_seed_and_iteration_alone():
    first = draws(5, 100)
    draw()
    assert draws(5, 100) == first
    for other in (draws(5, 101), draws(6, 100), draws(100, 5)):
        assert all(a != b for a, b in zip(first, other, strict=True))


def test_ranks_differ():
    seed_generators(5, 0, 100)
    first = draw()
    seed_generators(5, 1, 100)
    assert all(a != b for a, b in zip(first, draw(), strict=True))


def test_numbers_are_uniform_over_iterations():
    numbers = np.array([draws(0, i) for i in range(400)])
    assert np.abs(numbers.mean(0) - 0.5).max() < 0.05
    assert np.abs(np.corrcoef(numbers.T) - np.eye(3)).max() < 0.15
    lagged = np.corrcoef(numbers[:-1, 0], numbers[1:, 0])[0, 1]
    assert abs(lagged) < 0.15


def test_a_part_stays_when_later_ones_grow():
    names = [str(i) for i in range(20)]
    few, more = (deal(names[::step], dict(a=3, b=n), 0) for step, n in ((1, 2), (-1, 17)))
    assert few['a'] == more['a'] and set(few['b']) < set(more['b'])
    assert sorted(more['a'] + more['b']) == sorted(names)  # each once
    assert deal(names, dict(a=3), 1) != deal(names, dict(a=3), 0)
    with pytest.raises(ValueError, match='3 a [+] 18 b are 21, and there are 20; ask for fewer'):
        deal(names, dict(a=3, b=18), 0)
