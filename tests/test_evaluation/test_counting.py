"""Every source counts once, whatever the size of the other folder and the number of ranks."""

import logging

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from PIL import Image

from sesim_mmagic.apis.ranks import leave_job
from sesim_mmagic.datasets.shape_modes import render_mode
from sesim_mmagic.datasets.shape_scenes import LAYOUTS, PALETTE, draw_labels, sample_scene
from sesim_mmagic.evaluation import PairedScores
from tests.test_evaluation.samples import SOURCE, TARGET, evaluate, sample, tensor

SOURCES, TARGETS = 3, 5
VGG = dict(type='sesim_mmagic.VGG16Features', pretrained=None, seed=0, width=0.125)
LOSS = dict(type='sesim_mmagic.FSeSimLoss', layers=('relu2_2',), num_patches=-1, feature_net=VGG)
METRICS = dict(
    AppearanceScores=dict(source_domain=SOURCE, num_patches=16, num_directions=8),
    PairedScores=dict(),
    SyntheticScores=dict(source_domain=None),
    StructureDistance=dict(source_domain=SOURCE, loss=LOSS),
    LPIPSDiversity=dict(lpips=dict(pretrained=None, seed=0)),
    PatchDistance=dict(num_patches=64, num_directions=8),
    ModeCoverage=dict(source_domain=SOURCE, modes=3),
    SegmentationScores=dict(
        source_domain=SOURCE,
        num_classes=4,
        segmentor=dict(type='sesim_mmagic.ByPalette'),
    ),
    DistributionScores=dict(
        source_domain=SOURCE,
        scores=['fid', 'kid', 'density'],
        num_neighbours=1,
        kid_subset_size=3,
        kid_subsets=1,
        feature_net=dict(
            type='sesim_mmagic.PooledFeatures', network={**VGG, 'layers': ('relu2_2',)}
        ),
    ),
)


def labels_of(number):
    return draw_labels(sample_scene(LAYOUTS['mismatch']['B'], np.random.default_rng(number)))


def uneven(translate_copies, targets=TARGETS):
    """What a test loop yields of 3 sources and some real pictures, the smaller folder repeated.

    Sources differ much in how well they are translated: counting one twice would show.
    """
    samples = []
    for i in range(max(SOURCES, targets)):
        number = i % SOURCES
        labels = labels_of(number)
        fakes = [render_mode(labels, 0), np.roll(render_mode(labels, number % 2), 9 * number, 1)]
        fakes = torch.stack([tensor(fake) for fake in fakes[:: -1 if number else 1]])
        made = sample(
            render_mode(labels_of(10 + i % targets), 0),
            fakes if number == i or translate_copies else None,
            number,
            PALETTE[labels],
            truth_number=i % targets,
        )
        if not translate_copies:
            repeated = {f'img_{SOURCE}_repeated': i >= SOURCES}
            made.set_metainfo(repeated | {f'img_{TARGET}_repeated': i >= targets})
        samples.append(made)
    return samples


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Folder with labels of the sources and, in another one, real pictures."""
    folder = tmp_path_factory.mktemp('files')
    for inside in ('labels', 'reals'):
        (folder / inside).mkdir()
    for i in range(SOURCES):
        Image.fromarray(labels_of(i).astype(np.uint8)).save(folder / f'labels/{i:03d}.png')
        Image.fromarray(render_mode(labels_of(20 + i), 0)).save(folder / f'reals/{i}.png')
    return folder


def options_of(name, folder):
    options = dict(METRICS[name.removesuffix(' of a folder')])
    if name == 'SegmentationScores':
        options['label_folder'] = f'{folder}/labels'
    if name.endswith(' of a folder'):
        options['real_folder'] = f'{folder}/reals'
    return options


@pytest.mark.parametrize('translate_copies', [True, False])
@pytest.mark.parametrize('name', METRICS)
def test_scores_do_not_depend_on_the_size_of_the_other_folder(name, translate_copies, folder):
    """Sources that begin again are left out, whether or not the model translated them again."""
    options = options_of(name, folder)
    samples = uneven(translate_copies)
    once = samples[:SOURCES]
    if name in (
        'DistributionScores',
        'AppearanceScores',
    ):  # the real pictures of all samples belong to the score
        for number in range(SOURCES, TARGETS):
            extra = sample(samples[number].get(f'img_{TARGET}'), None, truth_number=number)
            extra.set_metainfo({f'img_{SOURCE}_path': None, f'img_{SOURCE}_repeated': True})
            once = [*once, extra]
    expected = evaluate(once, name, **options)
    assert evaluate(samples, name, **options) == pytest.approx(expected, rel=1e-6)


def test_counting_copies_would_show():
    """The check above can fail: these sources have different scores."""
    samples = uneven(True)[:SOURCES]
    values = [evaluate([s], 'PairedScores')['paired/psnr'] for s in samples]
    assert max(values) - min(values) > 0.3


def test_the_smaller_target_folder():
    """More sources than real pictures: every source counts, and every real picture once."""
    options = METRICS['StructureDistance']
    expected = evaluate(uneven(True, 3), 'StructureDistance', **options)
    assert evaluate(uneven(False, 1), 'StructureDistance', **options) == expected


RANKED = [*METRICS, 'AppearanceScores of a folder', 'DistributionScores of a folder']


def on_a_rank(rank, address, folder, queue):
    """Score the share that DefaultSampler deals to one of two ranks; break a metric on one."""
    dist.init_process_group('gloo', init_method=address, rank=rank, world_size=2)
    found = []
    for name in RANKED:
        samples = uneven(name != 'StructureDistance')
        dealt = [samples[i % TARGETS] for i in range(6)][rank::2]  # the first comes twice
        kind, options = name.removesuffix(' of a folder'), options_of(name, folder)
        found.append(evaluate(dealt, kind, batch=1, size=TARGETS, **options))
    broken = PairedScores(TARGET)
    broken.raises = False
    dealt = [sample(None, None, i) if rank else samples[0] for i in range(3)]
    found += [evaluate(dealt, broken, batch=1, size=TARGETS), broken.failure]
    # An error on one rank alone is one on all, and none waits for ever.
    broken.raises = True
    with pytest.raises(ValueError):
        broken._error = ValueError('no') if rank else None
        broken.evaluate(TARGETS)
    queue.put(found)
    leave_job()


def test_two_ranks_count_as_one(tmp_path, folder):
    queue = mp.get_context('spawn').SimpleQueue()
    mp.spawn(on_a_rank, (f'file://{tmp_path}/rendezvous', str(folder), queue), nprocs=2)
    expected = [
        evaluate(uneven(True), name.removesuffix(' of a folder'), **options_of(name, folder))
        for name in RANKED
    ]
    for *found, nothing, failure in (queue.get(), queue.get()):
        for name, scores, whole in zip(RANKED, found, expected, strict=True):
            assert scores == pytest.approx(whole, rel=1e-4, abs=1e-6), name
        assert nothing == {} and 'a sample has no img_flat' in failure


def test_a_metric_that_fails_gives_no_scores_and_the_next_evaluation_begins_anew(caplog):
    metric = PairedScores(TARGET)
    metric.raises = False
    with caplog.at_level(logging.ERROR):
        assert evaluate([sample(number=0), *uneven(True, 3)], metric) == {}
    assert 'has no img_flat' in metric.failure
    assert evaluate(uneven(True, 3), metric) == evaluate(uneven(True, 3), 'PairedScores')
    assert metric.failure is None
