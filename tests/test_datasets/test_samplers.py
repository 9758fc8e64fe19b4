"""The order of training samples is a function of seed, position and rank."""

from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from sesim_mmagic.datasets import ResumableSampler, samplers


class Samples:
    """A dataset of ``size`` samples that takes virtual indices."""

    sample_seed = None

    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size


def indices(size, count, start=0, rank=0, world_size=1, **kwargs):
    sampler = ResumableSampler(Samples(size), **{'seed': 5, **kwargs})
    sampler.rank, sampler.world_size, sampler.start = rank, world_size, start
    return list(islice(sampler, count))


@given(size=st.integers(1, 40), passes=st.integers(1, 5), seed=st.integers(0, 2**31))
@settings(deadline=None)
def test_every_pass_is_a_permutation(size, passes, seed):
    order = indices(size, size * passes, seed=seed)
    for number in range(passes):
        one = order[number * size : (number + 1) * size]
        assert sorted(one) == list(range(number * size, (number + 1) * size))


@given(size=st.integers(1, 40), start=st.integers(0, 100), world_size=st.integers(1, 4))
@settings(deadline=None)
def test_start_is_skipping(size, start, world_size):
    for rank in range(world_size):
        kwargs = dict(rank=rank, world_size=world_size)
        assert indices(size, 20, start, **kwargs) == indices(size, start + 20, **kwargs)[start:]


@given(size=st.integers(1, 40), world_size=st.integers(1, 5), count=st.integers(1, 60))
@settings(deadline=None)
def test_ranks_share_the_order(size, world_size, count):
    ranks = [indices(size, count, rank=r, world_size=world_size) for r in range(world_size)]
    joined = [index for turn in zip(*ranks, strict=True) for index in turn]
    assert joined == indices(size, count * world_size)
    assert len(set(joined)) == len(joined)  # disjoint: virtual indices never repeat


def test_passes_and_seeds_differ():
    first, second = indices(50, 50), [i - 50 for i in indices(50, 50, start=50)]
    assert first != second
    assert first != sorted(first)
    assert indices(50, 50, seed=6) != first
    assert indices(50, 50) == first


def test_without_shuffling():
    assert indices(3, 7, shuffle=False) == list(range(7))


def test_start_is_read_when_iteration_begins():
    sampler = ResumableSampler(Samples(10), seed=1)
    running = iter(sampler)
    sampler.start = 4
    assert list(islice(running, 6))[4:] == list(islice(sampler, 2))


def test_the_dataset_learns_the_seed():
    dataset = Samples(3)
    assert ResumableSampler(dataset, seed=11).seed == dataset.sample_seed == 11


def test_ranks_agree_on_a_seed(monkeypatch):
    monkeypatch.setattr(samplers, 'sync_random_seed', lambda: 123)
    dataset = Samples(3)
    assert ResumableSampler(dataset).seed == dataset.sample_seed == 123


def test_built_by_the_runner(picture_folders):
    with DefaultScope.overwrite_default_scope('mmagic'):
        loader = Runner.build_dataloader(
            dict(
                batch_size=2,
                num_workers=0,
                sampler=dict(type='sesim_mmagic.ResumableSampler'),
                dataset=dict(
                    type='sesim_mmagic.UnpairedFolderDataset',
                    data_root=str(picture_folders(count=4)),
                    pipeline=[],
                ),
            ),
            seed=9,
        )
    assert loader.sampler.seed == loader.dataset.sample_seed == 9
    assert len(loader) == 2  # batches of one pass


@pytest.mark.parametrize(
    ('dataset', 'seed', 'message'),
    [
        (Samples(0), 0, 'empty'),
        (Samples(2), -1, 'seed must be a whole number, 0 or more, got -1'),
        ([1, 2], 0, 'list does not expect.*InfiniteSampler'),
    ],
)
def test_bad_arguments(dataset, seed, message):
    with pytest.raises(ValueError, match=message):
        ResumableSampler(dataset, seed=seed)
