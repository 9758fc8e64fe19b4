"""Scores of a translation whose truth is known, in NumPy.

Pictures are RGB, 8 bits, shape (H, W, 3); label maps hold class numbers, shape (H, W).
"""

from itertools import permutations

import numpy as np
from scipy.ndimage import binary_dilation
from skimage.color import rgb2gray
from skimage.feature import canny
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

#: Pixels of the window's side: 3.5 sigma to both sides of its middle.
SSIM_WINDOW = 11


def _palette_distances(picture: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Euclidean RGB distance, in units of [0, 1], of each pixel to each colour: (H, W, colours)."""
    difference = picture[..., None, :].astype(np.float32) - palette.astype(np.float32)
    return np.linalg.norm(difference, axis=-1) / 255


def segment_by_palette(picture: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Label map (H, W) of the nearest of the palette's colours, (classes, 3), RGB."""
    return _palette_distances(picture, palette).argmin(axis=-1)


def style_share(picture: np.ndarray, palette: np.ndarray, tolerance: float = 0.15) -> float:
    """Share of pixels within ``tolerance`` (RGB in [0, 1]) of a colour of the palette.

    Said beside every score of structure: a copy of the source keeps structure for nothing.
    """
    return float((_palette_distances(picture, palette).min(axis=-1) <= tolerance).mean())


def confusion_matrix(truth: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Pixel counts (num_classes, num_classes): rows are true classes, columns given ones."""
    pairs = truth.astype(np.int64).ravel() * num_classes + labels.ravel()
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def pixel_accuracy(confusion: np.ndarray) -> float:
    """Share of pixels that have their true class."""
    return float(np.divide(np.trace(confusion), confusion.sum()))


def class_accuracy(confusion: np.ndarray) -> float:
    """Share of a class's pixels that have it, mean over the classes that the truth holds."""
    of_class = confusion.sum(axis=1)
    return float((np.diag(confusion)[of_class > 0] / of_class[of_class > 0]).mean())


def intersection_over_union(confusion: np.ndarray) -> np.ndarray:
    """IoU of each class; NaN for one that neither truth nor translation holds."""
    hits = np.diag(confusion).astype(np.float64)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - hits
    return np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)


def mean_iou(confusion: np.ndarray) -> float:
    """Mean IoU over the classes that occur, background included."""
    return float(np.nanmean(intersection_over_union(confusion)))


def mean_iou_best_permutation(confusion: np.ndarray) -> float:
    """The best mean IoU under a renaming of the given foreground classes (all but class 0).

    A translator that paints every disk green and every triangle red keeps all structure.
    """
    classes = range(1, len(confusion))
    return max(mean_iou(confusion[:, [0, *order]]) for order in permutations(classes))


def foreground_iou(confusion: np.ndarray) -> float:
    """IoU of everything that is not background (class 0), whatever its class."""
    hits = confusion[1:, 1:].sum()
    union = confusion.sum() - confusion[0, 0]
    return float(hits / union) if union else float('nan')


def label_boundaries(labels: np.ndarray) -> np.ndarray:
    """Pixels whose right or lower neighbour has another label: boolean (H, W)."""
    boundary = np.zeros(labels.shape, dtype=bool)
    boundary[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    boundary[:-1] |= labels[:-1] != labels[1:]
    return boundary


def picture_edges(picture: np.ndarray, sigma: float = 1.0) -> np.ndarray:
    """Canny edges of a picture's luminance: boolean (H, W)."""
    return canny(rgb2gray(picture), sigma=sigma)


def boundary_f1(truth: np.ndarray, given: np.ndarray, tolerance: int = 1) -> float:
    """F1 of boundary pixels (H, W) that lie within ``tolerance`` pixels of others, 8-neighbourhood.

    In [0, 1]; 1 if neither map holds a boundary.
    """
    if not truth.any() or not given.any():
        return float(truth.any() == given.any())
    square = np.ones((2 * tolerance + 1,) * 2, dtype=bool)
    precision = binary_dilation(truth, square)[given].mean()
    recall = binary_dilation(given, square)[truth].mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def psnr(truth: np.ndarray, picture: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB, over all channels; infinite for equal pictures."""
    with np.errstate(divide='ignore'):
        return float(peak_signal_noise_ratio(truth, picture, data_range=255))


def ssim(truth: np.ndarray, picture: np.ndarray) -> float:
    """Structural similarity as Wang et al. (2004): Gaussian window, sigma 1.5, RGB averaged.

    Raises:
        ValueError: If a side is shorter than ``SSIM_WINDOW``, the window of that size.
    """
    if min(truth.shape[:2]) < SSIM_WINDOW:
        size = ' x '.join(map(str, truth.shape[:2]))
        raise ValueError(f'SSIM compares windows of {SSIM_WINDOW} pixels, the picture has {size}')
    settings = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    return float(structural_similarity(truth, picture, data_range=255, channel_axis=-1, **settings))
