"""FID, KID, density and coverage against slow references; what counts, what is kept."""

import logging
import random

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from PIL import Image
from scipy.linalg import sqrtm

from sesim_mmagic.evaluation import DistributionScores
from sesim_mmagic.networks import VGG16Features
from tests.test_evaluation import samples as tools
from tests.test_evaluation.samples import sample, tensor

LAYERS = ['relu1_2', 'relu2_1']  # 4 + 8 features
VGG = dict(layers=LAYERS, pretrained=None, seed=0, width=0.0625)
FEATURE_NET = dict(
    type='sesim_mmagic.PooledFeatures', network=dict(type='sesim_mmagic.VGG16Features', **VGG)
)
OPTIONS = dict(target_domain='flat', source_domain='textured', feature_net=FEATURE_NET)
SCORES = ('fid', 'kid', 'kid_std', 'density', 'coverage')


def build(**options):
    return DistributionScores(**(OPTIONS | options))


def evaluate(samples, batch=3, size=None, **options):
    """Scores without prefix and name of the network."""
    result = tools.evaluate(samples, build(**options), batch, size)
    ending = '_vgg16_random'
    assert all(key.startswith('distribution/') and key.endswith(ending) for key in result)
    return {key[len('distribution/') : -len(ending)]: value for key, value in result.items()}


def pictures(count, seed, brightness=0):
    """Coloured noise of several contrasts, RGB."""
    rng = np.random.default_rng(seed)
    mean, contrast = rng.uniform(60, 180, (count, 1, 1, 3)), rng.uniform(10, 60, (count, 1, 1, 1))
    noise = rng.normal(0, 1, (count, 16, 12, 3))
    return np.clip(mean + brightness + contrast * noise, 0, 255).astype(np.uint8)


def wrapped(reals, fakes):
    """Samples of a test set whose smaller folder begins again."""
    length = max(len(reals), len(fakes))
    return [
        sample(reals[i % len(reals)], fakes[i % len(fakes)], i % len(fakes), None, i % len(reals))
        for i in range(length)
    ]


@pytest.fixture(scope='module')
def reals():
    return pictures(40, 0)


@pytest.fixture(scope='module')
def fakes():
    return pictures(40, 1, brightness=15)


def features(images):
    """In float64; the network takes BGR in [-1, 1]."""
    batch = torch.stack([tensor(image) for image in images]) / 255 * 2 - 1
    maps = VGG16Features(**VGG)(batch)
    return torch.cat([maps[layer].mean((2, 3)) for layer in LAYERS], 1).double().numpy()


def fid_reference(real, fake):
    means = real.mean(0) - fake.mean(0)
    covariances = np.cov(real.T), np.cov(fake.T)
    root = sqrtm(covariances[0] @ covariances[1]).real
    return means @ means + np.trace(covariances[0] + covariances[1] - 2 * root)


def kid_reference(real, fake):
    """Unbiased squared MMD: pairs of a picture with itself are left out."""

    def kernel(x, y):
        return (x @ y / len(x) + 1) ** 3

    def mean(one, two):
        same = one is two
        return np.mean(
            [
                kernel(x, y)
                for i, x in enumerate(one)
                for j, y in enumerate(two)
                if not (same and i == j)
            ]
        )

    return mean(real, real) + mean(fake, fake) - 2 * mean(real, fake)


def density_coverage_reference(real, fake, k):
    hits = np.zeros((len(real), len(fake)))
    for i, centre in enumerate(real):
        radius = sorted(np.linalg.norm(centre - other) for other in real)[k]  # [0] is itself
        for j, point in enumerate(fake):
            hits[i, j] = np.linalg.norm(centre - point) < radius
    return hits.sum() / k / len(fake), hits.any(1).mean()


def expected(reals, fakes, k=5):
    real, fake = features(reals), features(fakes)
    density, coverage = density_coverage_reference(real, fake, k)
    return dict(fid=fid_reference(real, fake), density=density, coverage=coverage)


def check(found, wanted):
    assert {key: found[key] for key in wanted} == pytest.approx(wanted, rel=1e-4, abs=1e-7)


def test_scores_against_their_references(reals, fakes):
    found = evaluate(wrapped(reals, fakes))
    assert set(found) == set(SCORES)
    check(found, expected(reals, fakes))
    assert found['fid'] > 0.01 and 0 < found['coverage'] < 1 and found['density'] != 1
    # A subset as large as the sets holds them all.
    assert found['kid'] == pytest.approx(kid_reference(features(reals), features(fakes)), rel=1e-4)
    assert found['kid_std'] == 0


def test_kid_of_subsets(reals, fakes):
    """Their mean tends to the MMD of all pictures; they follow their seed."""
    samples = wrapped(reals, fakes)
    options = dict(scores=['kid'], kid_subset_size=12)
    found = evaluate(samples, **options, kid_subsets=400)
    full = kid_reference(features(reals), features(fakes))
    assert found['kid'] == pytest.approx(full, abs=4 * found['kid_std'] / 400**0.5)
    assert found['kid_std'] > 0.1 * abs(full)
    again, other = (evaluate(samples, **options, kid_subsets=400, seed=seed) for seed in (0, 1))
    assert again == found != other


def test_the_number_of_neighbours(reals, fakes):
    found = evaluate(wrapped(reals, fakes), num_neighbours=2, scores=['density', 'coverage'])
    wanted = expected(reals, fakes, 2)
    wanted.pop('fid')
    assert set(found) == set(wanted)
    check(found, wanted)


def test_perfect_translations(reals):
    found = evaluate(wrapped(reals, reals), scores=['fid', 'coverage'])
    assert found == pytest.approx(dict(fid=0, coverage=1), abs=1e-4)


@pytest.mark.parametrize('counts', [(40, 17), (17, 40)])
def test_domains_of_unequal_size_count_every_picture_once(reals, fakes, counts):
    reals, fakes = reals[: counts[0]], fakes[: counts[1]]
    found = evaluate(wrapped(reals, fakes), kid_subset_size=10, kid_subsets=1000)
    check(found, expected(reals, fakes))
    full = kid_reference(features(reals), features(fakes))
    assert found['kid'] == pytest.approx(full, abs=4 * found['kid_std'] / 1000**0.5)


def test_equal_pictures_of_different_files_count_each(reals, fakes):
    repeated = np.concatenate([fakes[:20], fakes[:5], fakes[:5]])
    check(evaluate(wrapped(reals, repeated)), expected(reals, repeated))


@pytest.mark.parametrize('batch', [1, 7])
def test_order_and_batches_do_not_matter(reals, fakes, batch):
    samples = wrapped(reals, fakes[:30])
    options = dict(kid_subset_size=12, kid_subsets=20)
    found = evaluate(samples, batch=40, **options)
    random.Random(0).shuffle(samples)
    assert evaluate(samples, batch, **options) == pytest.approx(found, rel=1e-4)


@pytest.mark.parametrize('error', [-0.4, 0.4])
def test_translations_are_rounded_as_they_are_saved(reals, fakes, error):
    exact = [tensor(fake) + error for fake in fakes]
    assert evaluate(wrapped(reals, exact)) == evaluate(wrapped(reals, fakes))


def test_global_random_numbers_are_left_alone(reals, fakes):
    samples = wrapped(reals, fakes)
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    evaluate(samples, kid_subset_size=12, kid_subsets=3)
    assert torch.equal(states[0], torch.get_rng_state())
    assert (states[1] == np.random.get_state()[1]).all() and states[2] == random.getstate()


def write(folder, images):
    folder.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f'{i}.png')
    return str(folder)


def count_pictures(metric):
    """A list of the numbers of pictures that go through the metric's network from now on."""
    counts = []
    metric.feature_net.register_forward_hook(lambda _, inputs, __: counts.append(len(inputs[0])))
    return counts


def test_real_pictures_go_through_the_network_once(reals, fakes):
    metric = build()
    counts = count_pictures(metric)
    first = tools.evaluate(wrapped(reals, fakes), metric, batch=10)
    assert sum(counts) == 80
    assert tools.evaluate(wrapped(reals, fakes), metric, batch=10) == first
    assert sum(counts) == 80 + 40


def test_a_changed_picture_is_noticed(reals, fakes):
    metric = build()
    counts = count_pictures(metric)
    tools.evaluate(wrapped(reals, fakes), metric)
    changed = reals.copy()
    changed[3, :8] = 255
    found = tools.evaluate(wrapped(changed, fakes), metric)  # under the same path
    assert sum(counts) == 80 + 41
    fid = fid_reference(features(changed), features(fakes))
    assert found['distribution/fid_vgg16_random'] == pytest.approx(fid, rel=1e-4)


def test_real_folder(reals, fakes, tmp_path):
    """Instead of the samples' own real pictures, which then need not be there."""
    folder = write(tmp_path / 'reals', reals)
    write(tmp_path / 'reals' / 'below', fakes[:3])
    found = evaluate([sample(None, fake, i) for i, fake in enumerate(fakes)], real_folder=folder)
    check(found, expected([*reals, *fakes[:3]], fakes))


@pytest.mark.parametrize('size', [None, (20, 14)])
def test_pictures_of_the_real_folder_are_resized(reals, fakes, tmp_path, size):
    large = np.kron(reals, np.ones((1, 3, 2, 1), np.uint8))
    folder = write(tmp_path / 'reals', large)
    height, width = size or (16, 12)
    found = evaluate(wrapped(reals, fakes), real_folder=folder, real_size=size)
    resized = [Image.fromarray(x).resize((width, height), Image.BICUBIC) for x in large]
    check(found, expected([np.array(x) for x in resized], fakes))


def test_translations_of_several_sizes_beside_a_real_folder(reals, fakes, tmp_path):
    folder = write(tmp_path / 'reals', reals)
    samples = [sample(None, fake[: 12 + i % 2], i) for i, fake in enumerate(fakes)]
    with pytest.raises(ValueError, match=r'these have \[\(12, 12\), \(13, 12\)\]; give real_size'):
        evaluate(samples, real_folder=folder)
    evaluate(samples, real_folder=folder, real_size=(12, 12))


def test_real_folder_without_pictures(fakes, tmp_path):
    (tmp_path / 'note.txt').write_text('no picture')
    for folder in (tmp_path, tmp_path / 'none'):
        with pytest.raises(FileNotFoundError, match=rf"real_folder: .*'{folder}'"):
            build(real_folder=str(folder)).process(None, [sample(None, fakes[0]).to_dict()])


def test_fewer_pictures_than_features(reals, fakes):
    messages = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    try:
        metric = build()
        tools.evaluate(wrapped(reals, fakes[:12]), metric)
        assert not messages
        for _ in range(2):
            tools.evaluate(wrapped(reals, fakes[:11]), metric)
    finally:
        logger.removeHandler(handler)
    assert len(messages) == 1
    assert 'FID of 40 real pictures and 11 translations in 12 features' in messages[0]


@pytest.mark.parametrize(
    'options, enough', [(dict(scores=['fid']), 2), (dict(scores=['kid']), 2)]
    + [(dict(scores=[score], num_neighbours=3), 5) for score in ('density', 'coverage')],
)  # fmt: skip
def test_too_few_pictures(reals, fakes, options, enough):
    for counts in ((40, enough - 1), (enough - 1, 40)):
        message = f'needs at least {enough} real .* got {counts[0]} and {counts[1]}'
        with pytest.raises(ValueError, match=message):
            evaluate(wrapped(reals[: counts[0]], fakes[: counts[1]]), **options)
    values = evaluate(wrapped(reals[:enough], fakes[:enough]), **options).values()
    assert np.isfinite(list(values)).all()


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(scores=['fid', 'inception']), r"scores must be a list of fid.*'inception'"),
        (dict(scores=[]), 'scores must be a list of fid'),
        (dict(scores='fid'), 'scores must be a list of fid'),
        (dict(kid_subsets=0), 'kid_subsets must be a whole number, positive, got 0'),
        (dict(kid_subset_size=1), 'kid_subset_size must be a whole number, 2 or more, got 1'),
        (dict(num_neighbours=0), 'num_neighbours must be a whole number, positive, got 0'),
        (dict(real_size=(8, 8)), 'real_size is for the pictures of a real_folder'),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)
