"""Scores of sets of features, the real ones and those of translations.

Features have shape (pictures, C). The estimators of two sets are those of torchmetrics and prdc.
"""

import io
import warnings
from contextlib import redirect_stdout
from typing import Any

import numpy as np
import torch
from prdc import compute_prdc
from torch import nn
from torchmetrics import Metric
from torchmetrics.image import FrechetInceptionDistance, KernelInceptionDistance

from sesim_mmagic.utils.random import seeded_generators


def fid(real: np.ndarray, fake: np.ndarray) -> float:
    """Fréchet distance of the Gaussians around two sets (Heusel et al., NeurIPS 2017).

    Args:
        real (np.ndarray): Features of at least 2 real pictures.
        fake (np.ndarray): Features of at least 2 translations.

    Returns:
        float: Non-negative but for rounding; computed in float64 with unbiased covariances.
    """
    # Only the main process computes; torchmetrics would wait for the other ranks.
    distance = FrechetInceptionDistance(_Given(real), sync_on_compute=False)
    return float(_computed(distance, real, fake))


def kid(
    real: np.ndarray, fake: np.ndarray, subsets: int, subset_size: int, seed: int
) -> tuple[float, float]:
    """Squared MMD with the kernel (x·y / C + 1)³ (Binkowski et al., ICLR 2018), unbiased.

    Args:
        real (np.ndarray): Features of at least ``subset_size`` real pictures.
        fake (np.ndarray): Features of at least ``subset_size`` translations.
        subsets (int): Number of random subsets.
        subset_size (int): Pictures of each set in a subset, at least 2.
        seed (int): Seed of the subsets; the global generators are left as they were.

    Returns:
        tuple[float, float]: Mean and standard deviation over subsets; the mean of small or
        equal sets may be negative.
    """
    with warnings.catch_warnings(), seeded_generators(seed):
        warnings.filterwarnings('ignore', 'Metric `Kernel Inception Distance` will save')
        distance = KernelInceptionDistance(
            _Given(real), subsets=subsets, subset_size=subset_size, sync_on_compute=False
        )
        mean, deviation = _computed(distance, real, fake)
    return float(mean), float(deviation)


class _Given(nn.Identity):
    """torchmetrics wants a network; ours has already run."""

    def __init__(self, features: np.ndarray) -> None:
        super().__init__()
        self.num_features = features.shape[1]


def _computed(metric: Metric, real: np.ndarray, fake: np.ndarray) -> Any:
    metric.update(torch.from_numpy(real).double(), real=True)
    metric.update(torch.from_numpy(fake).double(), real=False)
    return metric.compute()


def density_and_coverage(
    real: np.ndarray, fake: np.ndarray, num_neighbours: int
) -> tuple[float, float]:
    """Fidelity and diversity by nearest neighbours (Naeem et al., ICML 2020).

    A real picture's ball reaches to its ``num_neighbours``-th nearest real neighbour. Density is
    the mean number of balls that hold a translation, over ``num_neighbours`` (it may exceed 1);
    coverage is the share of balls that hold at least one translation. Both sets hold at least
    ``num_neighbours + 2`` pictures.
    """
    with redirect_stdout(io.StringIO()):  # prdc prints
        scores = compute_prdc(real.astype(np.float64), fake.astype(np.float64), num_neighbours)
    return float(scores['density']), float(scores['coverage'])


def colour_spread(colours: np.ndarray) -> float:
    """Root of the mean over channels of the variance over pictures of colours (pictures, 3).

    In the colours' units; 0 if all pictures have one colour.
    """
    return float(np.sqrt(colours.var(axis=0).mean()))
