"""Diversity of several translations of one source."""

from itertools import combinations

import numpy as np
import pytest
import torch

from sesim_mmagic.evaluation import LPIPSDistance, LPIPSDiversity
from tests.test_evaluation.samples import TARGET, evaluate, sample, tensor

RANDOM = dict(pretrained=None, seed=0)
KEY = 'diversity/lpips'


def outputs(seed, count, sigma=40):
    """RGB pictures (count, H, W, 3) that differ by noise."""
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 256, (36, 40, 3))
    noise = rng.normal(0, sigma, (count, *base.shape))
    return np.clip(base + noise, 0, 255).astype(np.uint8)


def sources(*several):
    return [
        sample(fake=torch.stack([tensor(picture) for picture in pictures]), number=i)
        for i, pictures in enumerate(several)
    ]


def diversity(*several, batch=3, **options):
    return evaluate(sources(*several), 'LPIPSDiversity', batch, lpips=RANDOM, **options)


@pytest.fixture(scope='module')
def distance():
    return LPIPSDistance(**RANDOM)


def test_mean_over_all_pairs_then_over_sources(distance):
    several = outputs(0, 4), outputs(1, 2, 90), outputs(2, 3)
    expected = np.mean(
        [np.mean([distance(*pair) for pair in combinations(one, 2)]) for one in several]
    )
    assert expected > 0
    result = diversity(*several)
    assert result == {KEY: pytest.approx(expected, rel=1e-6)}
    assert diversity(*several, batch=1) == result


def test_equal_outputs_have_none():
    assert diversity(outputs(0, 1).repeat(3, axis=0)) == {KEY: 0}


def test_some_pairs(distance):
    metric = LPIPSDiversity(TARGET, max_pairs=4, lpips=RANDOM)
    pairs = metric.pairs(6)
    assert len(set(pairs)) == 4 and all(0 <= i < j < 6 for i, j in pairs)
    assert pairs == LPIPSDiversity(TARGET, max_pairs=4, lpips=RANDOM).pairs(6)
    drawn = [LPIPSDiversity(TARGET, max_pairs=4, seed=seed).pairs(6) for seed in range(8)]
    assert len({tuple(p) for p in drawn}) > 4
    assert all(len(set(p)) == 4 for p in drawn)
    assert {pair for p in drawn for pair in p} == set(combinations(range(6), 2))
    several = outputs(0, 6), outputs(1, 6)
    expected = np.mean([distance(one[i], one[j]) for one in several for i, j in pairs])
    assert evaluate(sources(*several), metric)[KEY] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize('max_pairs', [6, 7, None])
def test_no_more_pairs_than_there_are(max_pairs):
    pairs = LPIPSDiversity(TARGET, max_pairs=max_pairs).pairs(4)
    assert pairs == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]


def test_one_output():
    with pytest.raises(
        ValueError, match='a source has 1 translation, and diversity needs 2 or more'
    ):
        diversity(outputs(0, 1))


def test_a_translator_of_one_output():
    with pytest.raises(ValueError, match='a source has 1 translation.*set model.num_styles'):
        evaluate([sample(fake=outputs(0, 1)[0])], 'LPIPSDiversity', lpips=RANDOM)


def test_metrics_of_one_picture_take_the_first():
    data_sample = sources(outputs(0, 2))[0]
    data_sample.set_tensor_data({'img_flat': data_sample.fake_flat.clone()})
    assert evaluate([data_sample], 'PairedScores')['paired/ssim'] == pytest.approx(1)


def test_max_pairs_that_is_not_positive():
    with pytest.raises(ValueError, match='max_pairs must be 1 or more, got 0'):
        LPIPSDiversity(TARGET, max_pairs=0)
