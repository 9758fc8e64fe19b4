"""The metrics in the evaluators of MMEngine and of MMagic."""

from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.registry import DefaultScope

from sesim_mmagic.datasets.shape_scenes import (
    LAYOUTS,
    PALETTE,
    draw_labels,
    render_scene,
    sample_scene,
)
from sesim_mmagic.evaluation import LPIPSDistance, PairedScores, SyntheticScores, scores
from sesim_mmagic.registry import METRICS
from tests.test_evaluation.samples import evaluate, sample, tensor

NAMES = ('foreground_iou', 'miou', 'miou_permuted', 'boundary_f1', 'psnr', 'ssim', 'style')


def scenes(count):
    """Truth and source of some scenes."""
    for i in range(count):
        rng = np.random.default_rng(i)
        labels = draw_labels(sample_scene(LAYOUTS['mismatch']['B'], rng))
        yield render_scene(labels, 'A'), render_scene(labels, 'B', rng)


def noisy(picture, seed, sigma=70):
    noise = np.random.default_rng(seed).normal(0, sigma, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def test_a_perfect_translation():
    result = evaluate(
        [sample(truth, truth, i) for i, (truth, _) in enumerate(scenes(4))], 'SyntheticScores'
    )
    assert result == {f'synthetic/{name}': 1 for name in NAMES} | {'synthetic/psnr': np.inf}


def test_copying_the_source():
    result = evaluate(
        [sample(truth, source, i) for i, (truth, source) in enumerate(scenes(4))],
        'SyntheticScores',
    )
    assert result['synthetic/style'] == 0
    assert result['synthetic/foreground_iou'] < 0.6


def test_swapped_colours():
    swapped = PALETTE[[0, 2, 3, 1]]
    samples = [
        sample(truth, swapped[scores.segment_by_palette(truth, PALETTE)], i)
        for i, (truth, _) in enumerate(scenes(4))
    ]
    result = evaluate(samples, 'SyntheticScores')
    assert result['synthetic/miou_permuted'] == result['synthetic/foreground_iou'] == 1
    assert result['synthetic/boundary_f1'] == result['synthetic/style'] == 1
    assert result['synthetic/miou'] < 0.4


def test_values_against_the_functions():
    """IoU over the pixels of all pictures, the other scores averaged over pictures."""
    pairs = [(truth, noisy(truth, i)) for i, (truth, _) in enumerate(scenes(5))]
    result = evaluate([sample(*pair, number=i) for i, pair in enumerate(pairs)], 'SyntheticScores')
    joined = [np.concatenate(images) for images in zip(*pairs, strict=True)]
    labels = [scores.segment_by_palette(image, PALETTE) for image in joined]
    confusion = scores.confusion_matrix(*labels, 4)
    assert result['synthetic/miou'] == pytest.approx(scores.mean_iou(confusion))
    assert result['synthetic/foreground_iou'] == pytest.approx(scores.foreground_iou(confusion))
    permuted = scores.mean_iou_best_permutation(confusion)
    assert result['synthetic/miou_permuted'] == pytest.approx(permuted)
    for name, function in dict(psnr=scores.psnr, ssim=scores.ssim).items():
        mean = np.mean([function(*pair) for pair in pairs])
        assert result[f'synthetic/{name}'] == pytest.approx(mean)
    style = np.mean([scores.style_share(fake, PALETTE) for _, fake in pairs])
    assert result['synthetic/style'] == pytest.approx(style)
    f1 = [
        scores.boundary_f1(
            *[scores.label_boundaries(scores.segment_by_palette(x, PALETTE)) for x in pair]
        )
        for pair in pairs
    ]
    assert result['synthetic/boundary_f1'] == pytest.approx(np.mean(f1))


def test_batches_do_not_matter():
    samples = [sample(truth, noisy(truth, i), i) for i, (truth, _) in enumerate(scenes(5))]
    assert evaluate(samples, 'SyntheticScores', batch=1) == evaluate(
        samples, 'SyntheticScores', batch=5
    )


def test_paired_scores():
    pairs = [(truth, noisy(truth, i, 40)) for i, (truth, _) in enumerate(scenes(3))]
    result = evaluate([sample(*pair, number=i) for i, pair in enumerate(pairs)], 'PairedScores')
    assert set(result) == {'paired/psnr', 'paired/ssim', 'paired/boundary_f1'}
    assert result['paired/psnr'] == pytest.approx(np.mean([scores.psnr(*p) for p in pairs]))
    f1 = [scores.boundary_f1(*[scores.picture_edges(x) for x in pair]) for pair in pairs]
    assert result['paired/boundary_f1'] == pytest.approx(np.mean(f1))
    assert 0 < result['paired/boundary_f1'] < 1


def test_paired_scores_with_lpips():
    """Only where it is asked for; the mean over pictures, beside the other scores."""
    pairs = [(truth, noisy(truth, i, 40)) for i, (truth, _) in enumerate(scenes(3))]
    samples = [sample(*pair, number=i) for i, pair in enumerate(pairs)]
    result = evaluate(samples, 'PairedScores', lpips=dict(net='alex', pretrained=None, seed=4))
    distance = LPIPSDistance(pretrained=None, seed=4)
    assert result.pop('paired/lpips') == pytest.approx(np.mean([distance(*p) for p in pairs]))
    assert distance(*pairs[0]) > 0
    assert result == evaluate(samples, 'PairedScores')


def test_lpips_without_its_weights():
    truth = next(scenes(1))[0]
    with pytest.raises(FileNotFoundError, match=r"LPIPS backbone weights 'nowhere\.pth'"):
        evaluate([sample(truth, truth)], 'PairedScores', lpips=dict(pretrained='nowhere.pth'))


def test_translations_are_rounded_as_they_are_saved():
    """0.4 of a level, and what lies outside 0 to 255, is not seen in a file."""
    truth = next(scenes(1))[0]
    fake = tensor(truth) + 0.4
    fake[fake > 252] = 300
    fake[fake < 30] -= 200
    saved = fake.round().clamp(0, 255).numpy()[::-1].transpose(1, 2, 0).astype(np.uint8)
    result = evaluate([sample(truth, fake)], 'PairedScores')
    assert result['paired/psnr'] == pytest.approx(scores.psnr(truth, saved))
    for error in (-0.4, 0.4):
        result = evaluate([sample(truth, tensor(truth) + error)], 'SyntheticScores')
        assert result['synthetic/psnr'] == np.inf


def test_prefix():
    truth = next(scenes(1))[0]
    result = evaluate([sample(truth, truth)], 'PairedScores', prefix='sketches')
    assert 'sketches/psnr' in result


def test_in_the_evaluator_of_mmagic():
    """As MultiValLoop and MultiTestLoop use it, beside another metric with the same sampler."""
    from mmagic.evaluation import Evaluator as MMagicEvaluator

    samples = [sample(truth, noisy(truth, i), i) for i, (truth, _) in enumerate(scenes(4))]
    loader = SimpleNamespace(dataset=range(4))
    with DefaultScope.overwrite_default_scope('mmagic'):
        metrics = [
            METRICS.build(dict(type=f'sesim_mmagic.{name}', target_domain='flat'))
            for name in ('SyntheticScores', 'PairedScores')
        ]
        evaluator = MMagicEvaluator(metrics)
    model = SimpleNamespace(data_preprocessor=None)
    evaluator.prepare_metrics(model, loader)
    groups = evaluator.prepare_samplers(model, loader)
    assert len(groups) == 1 and groups[0][1] is loader  # pictures are translated once
    evaluator.process(samples, dict(inputs=None), groups[0][0])
    expected = evaluate(samples, 'SyntheticScores') | evaluate(samples, 'PairedScores')
    assert evaluator.evaluate() == expected


def test_no_translation():
    truth = next(scenes(1))[0]
    with pytest.raises(ValueError, match=r'SyntheticScores: a sample has no fake_flat.*img_flat'):
        evaluate([sample(truth, None)], 'SyntheticScores')


def test_no_truth():
    data_sample = sample(*[next(scenes(1))[0]] * 2)
    del data_sample.img_flat
    with pytest.raises(ValueError, match=r'no img_flat.*pipeline must load that domain'):
        evaluate([data_sample], 'SyntheticScores')


def test_sizes_that_differ():
    truth = next(scenes(1))[0]
    with pytest.raises(ValueError, match='fake_flat has 60 x 64 pixels, img_flat .* has 64 x 64'):
        evaluate([sample(truth, truth[:60])], 'SyntheticScores')


@pytest.mark.parametrize('metric', [PairedScores, SyntheticScores])
def test_pictures_that_are_no_pair(metric):
    truth = next(scenes(1))[0]
    data_sample = sample(truth, truth)
    data_sample.set_metainfo({'img_textured_path': 'data/testB/other.png'})
    with pytest.raises(ValueError, match=r'other\.png and data/testA/000\.png are no pair'):
        evaluate([data_sample], metric.__name__, source_domain='textured')
    evaluate([data_sample], metric.__name__)  # without the source's name there is no telling
