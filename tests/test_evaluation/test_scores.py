"""Scores against slow, independent references, and values that can be told by hand."""

from itertools import permutations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from sklearn.metrics import accuracy_score, balanced_accuracy_score, jaccard_score
from sklearn.metrics import confusion_matrix as sklearn_confusion

from sesim_mmagic.datasets.shape_scenes import (
    LAYOUTS,
    PALETTE,
    draw_labels,
    render_scene,
    sample_scene,
)
from sesim_mmagic.evaluation import scores


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def label_pair(rng, shape=(13, 17)):
    truth = rng.integers(0, 4, shape)
    found = np.where(rng.random(shape) < 0.6, truth, rng.integers(0, 4, shape))
    return truth, found


def test_segmentation_reference(rng):
    picture = rng.integers(0, 256, (7, 9, 3), dtype=np.uint8)
    labels = scores.segment_by_palette(picture, PALETTE)
    assert labels.shape == (7, 9)
    for row in range(7):
        for column in range(9):
            squares = [
                sum((int(p) - int(q)) ** 2 for p, q in zip(picture[row, column], c, strict=True))
                for c in PALETTE
            ]
            assert squares[labels[row, column]] == min(squares)


def test_style_reference(rng):
    noise = rng.integers(-60, 61, (12, 12, 3))
    picture = np.clip(PALETTE[rng.integers(0, 4, (12, 12))] + noise, 0, 255).astype(np.uint8)
    near = 0
    for pixel in picture.reshape(-1, 3) / 255:
        near += any(sum((pixel - colour / 255) ** 2) ** 0.5 <= 0.15 for colour in PALETTE)
    assert 0 < near < 144
    assert scores.style_share(picture, PALETTE) == pytest.approx(near / 144)


def test_style_tolerance():
    picture = np.array([[[30, 0, 0], [0, 31, 0], [0, 0, 60]]], np.uint8)
    black = np.zeros((1, 3), np.uint8)
    assert scores.style_share(picture, black, tolerance=30.5 / 255) == pytest.approx(1 / 3)
    assert scores.style_share(picture, black, tolerance=0.15) == pytest.approx(2 / 3)


def test_confusion_is_that_of_sklearn(rng):
    truth, found = label_pair(rng)
    np.testing.assert_array_equal(
        scores.confusion_matrix(truth, found, 4),
        sklearn_confusion(truth.ravel(), found.ravel(), labels=range(4)),
    )


def test_confusion_of_8_bit_labels_does_not_overflow():
    truth, found = np.full((4, 4), 20, np.uint8), np.full((4, 4), 19, np.uint8)
    confusion = scores.confusion_matrix(truth, found, 21)
    assert confusion[20, 19] == confusion.sum() == 16


def test_accuracies_are_those_of_sklearn(rng):
    truth, found = label_pair(rng)
    confusion = scores.confusion_matrix(truth, found, 4)
    flat = truth.ravel(), found.ravel()
    assert scores.pixel_accuracy(confusion) == pytest.approx(accuracy_score(*flat))
    assert scores.class_accuracy(confusion) == pytest.approx(balanced_accuracy_score(*flat))


def test_class_accuracy_is_of_classes_that_are_there():
    confusion = np.array([[3, 1, 0], [0, 0, 0], [0, 2, 2]])
    assert scores.class_accuracy(confusion) == pytest.approx((3 / 4 + 2 / 4) / 2)
    assert scores.pixel_accuracy(confusion) == pytest.approx(5 / 8)


def test_iou_is_that_of_sklearn(rng):
    truth, found = label_pair(rng)
    confusion = scores.confusion_matrix(truth, found, 4)
    flat = truth.ravel(), found.ravel()
    np.testing.assert_allclose(
        scores.intersection_over_union(confusion), jaccard_score(*flat, average=None)
    )
    assert scores.mean_iou(confusion) == pytest.approx(jaccard_score(*flat, average='macro'))
    foreground = jaccard_score(flat[0] > 0, flat[1] > 0)
    assert scores.foreground_iou(confusion) == pytest.approx(foreground)


def test_absent_classes_do_not_count():
    truth = found = np.array([[0, 1], [1, 0]])
    confusion = scores.confusion_matrix(truth, found, 4)
    assert np.isnan(scores.intersection_over_union(confusion)[2:]).all()
    assert scores.mean_iou(confusion) == 1


def test_foreground_iou_without_foreground():
    assert np.isnan(scores.foreground_iou(np.diag([5, 0, 0, 0])))
    assert scores.foreground_iou(np.array([[4, 1], [0, 0]])) == 0


def test_permuted_iou_reference(rng):
    truth, found = label_pair(rng)
    confusion = scores.confusion_matrix(truth, found, 4)
    best = 0
    for order in permutations((1, 2, 3)):
        renamed = np.array([0, *order])[found]
        best = max(best, jaccard_score(truth.ravel(), renamed.ravel(), average='macro'))
    assert scores.mean_iou_best_permutation(confusion) == pytest.approx(best)


@pytest.mark.parametrize('order', permutations((1, 2, 3)))
def test_swapped_classes(rng, order):
    truth = rng.integers(0, 4, (20, 20))
    found = np.array([0, *order])[truth]
    confusion = scores.confusion_matrix(truth, found, 4)
    assert scores.mean_iou_best_permutation(confusion) == 1
    assert scores.foreground_iou(confusion) == 1
    assert (scores.mean_iou(confusion) == 1) == (order == (1, 2, 3))


def test_the_background_is_not_renamed(rng):
    truth = rng.integers(0, 2, (20, 20))
    confusion = scores.confusion_matrix(truth, 1 - truth, 4)
    assert scores.mean_iou_best_permutation(confusion) == 0


def boundary_reference(labels):
    boundary = np.zeros(labels.shape, bool)
    height, width = labels.shape
    for row in range(height):
        for column in range(width):
            for below, right in ((1, 0), (0, 1)):
                if row + below < height and column + right < width:
                    here, there = labels[row, column], labels[row + below, column + right]
                    boundary[row, column] |= here != there
    return boundary


def test_label_boundaries_reference(rng):
    labels = rng.integers(0, 3, (9, 14))
    np.testing.assert_array_equal(scores.label_boundaries(labels), boundary_reference(labels))


def f1_reference(truth, found, tolerance):
    def share(of, near):
        places = np.argwhere(of)
        hits = 0
        for row, column in places:
            window = near[
                max(row - tolerance, 0) : row + tolerance + 1,
                max(column - tolerance, 0) : column + tolerance + 1,
            ]
            hits += window.any()
        return hits / len(places)

    precision, recall = share(found, truth), share(truth, found)
    return 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize('tolerance', [0, 1, 2])
def test_boundary_f1_reference(rng, tolerance):
    truth, found = rng.random((2, 15, 19)) < 0.15
    score = scores.boundary_f1(truth, found, tolerance)
    assert score == pytest.approx(f1_reference(truth, found, tolerance))
    assert 0 < score < 1


def line(column):
    boundary = np.zeros((10, 10), bool)
    boundary[:, column] = True
    return boundary


def test_boundary_f1_tolerance():
    assert scores.boundary_f1(line(4), line(4)) == 1
    assert scores.boundary_f1(line(4), line(5)) == 1
    assert scores.boundary_f1(line(4), line(6)) == 0
    assert scores.boundary_f1(line(4), line(6), tolerance=2) == 1
    # Half of what is found is right, all of the truth is found: 2 * 0.5 * 1 / 1.5.
    assert scores.boundary_f1(line(2), line(2) | line(7)) == pytest.approx(2 / 3)


def test_boundary_f1_of_nothing():
    empty = np.zeros((10, 10), bool)
    assert scores.boundary_f1(empty, empty) == 1
    assert scores.boundary_f1(empty, line(3)) == scores.boundary_f1(line(3), empty) == 0


def test_edges_lie_where_luminance_changes():
    picture = np.full((32, 32, 3), 200, np.uint8)
    picture[:, 16:] = 40
    edges = scores.picture_edges(picture)
    assert edges.dtype == bool
    assert edges.any(axis=1)[3:-3].all()
    assert set(np.flatnonzero(edges.any(axis=0))) <= {15, 16}
    assert not scores.picture_edges(np.full((32, 32, 3), 200, np.uint8)).any()


def test_psnr_reference(rng):
    truth, picture = rng.integers(0, 256, (2, 12, 12, 3), dtype=np.uint8)
    error = np.mean((truth.astype(float) - picture) ** 2)
    assert scores.psnr(truth, picture) == pytest.approx(10 * np.log10(255**2 / error))
    assert scores.psnr(truth, truth) == float('inf')


def test_ssim_reference(rng):
    """The formula of Wang et al. (2004), channel by channel, without the border of 5 pixels."""
    truth = rng.integers(0, 256, (24, 30, 3), dtype=np.uint8)
    picture = np.clip(truth + rng.normal(0, 40, truth.shape), 0, 255).astype(np.uint8)
    values = []
    for channel in range(3):
        x, y = (image[..., channel].astype(float) for image in (truth, picture))

        def mean(z):
            return gaussian_filter(z, 1.5, truncate=3.5)

        mx, my = mean(x), mean(y)
        vx, vy, cov = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
        c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        ssim = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
        values.append(ssim[5:-5, 5:-5].mean())
    assert scores.ssim(truth, picture) == pytest.approx(np.mean(values), rel=1e-6)
    assert scores.ssim(truth, truth) == 1
    assert scores.ssim(truth[:11, :11], truth[:11, :11]) == 1
    with pytest.raises(ValueError, match='windows of 11 pixels, the picture has 10 x 12'):
        scores.ssim(truth[:10, :12], truth[:10, :12])


def test_copies_of_the_source_have_structure_but_no_style():
    shares = []
    for i in range(10):
        rng = np.random.default_rng(i)
        labels = draw_labels(sample_scene(LAYOUTS['mismatch']['B'], rng))
        shares.append(
            [scores.style_share(render_scene(labels, s, rng), PALETTE) for s in ('A', 'B')]
        )
    assert np.mean(shares, axis=0).tolist() == [1, 0]
