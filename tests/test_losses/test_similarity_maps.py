"""Whole maps of chosen queries against a loop in NumPy."""

import numpy as np
import pytest
import torch

from sesim_mmagic.losses import FSeSimLoss
from tests.test_losses.test_fsesim import tiny_loss as fsesim
from tests.test_losses.test_lsesim import tiny_loss as lsesim
from tests.tiny import pictures

# The second is the first column and last row of relu2_2 (12 x 20) and relu3_1 (6 x 10).
POINTS = [(0.5, 0.26), (0.04, 0.99)]
POSITIONS = {'relu2_2': [(3, 10), (11, 0)], 'relu3_1': [(1, 5), (5, 0)]}


def looped_map(features, row, column, normalize):
    """Similarity of one query (row, column) to every position of (C, h, w)."""
    centred = features - features.mean(axis=(1, 2), keepdims=True)
    query = centred[:, row, column]
    result = np.empty(features.shape[1:])
    for i in range(result.shape[0]):
        for j in range(result.shape[1]):
            key = centred[:, i, j]
            if normalize:
                result[i, j] = query @ key / np.linalg.norm(query) / np.linalg.norm(key)
            else:
                result[i, j] = np.tanh(query @ key / len(query) / 10)
    return result


@pytest.mark.parametrize('build', [fsesim, lsesim])
@pytest.mark.parametrize('normalize', [True, False])
@torch.no_grad()
def test_maps_are_those_of_a_loop(build, normalize):
    # The window of the training (4) is far smaller than the maps.
    loss = build(normalize=normalize).double()
    images = pictures(0, dtype=torch.float64)
    maps = loss.similarity_maps(images, POINTS)
    shapes = {layer: tuple(m.shape) for layer, m in maps.items()}
    assert shapes == dict(relu2_2=(2, 2, 12, 20), relu3_1=(2, 2, 6, 10))
    projected = loss.project(loss.extract(images))
    for features, (layer, found) in zip(projected, maps.items(), strict=True):
        for b in range(2):
            for n, (row, column) in enumerate(POSITIONS[layer]):
                expected = looped_map(features[b].numpy(), row, column, normalize)
                np.testing.assert_allclose(found[b, n].numpy(), expected, rtol=1e-8, atol=1e-12)


@torch.no_grad()
def test_a_query_is_most_like_itself():
    maps = fsesim().similarity_maps(pictures(), POINTS)
    for layer, found in maps.items():
        for n, (row, column) in enumerate(POSITIONS[layer]):
            assert found[:, n, row, column].tolist() == pytest.approx([1, 1], abs=1e-5)
            assert (found[:, n].flatten(1).argmax(dim=1) == row * found.shape[3] + column).all()


def test_no_random_number_is_drawn():
    loss = lsesim()
    state = torch.get_rng_state()
    loss.similarity_maps(pictures(), POINTS)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize('points', [[], [(0.5, 1.0)], [(-0.1, 0.5)], [(0.5,)]])
def test_points_outside_are_refused(points):
    loss: FSeSimLoss = fsesim()
    with pytest.raises(ValueError, match='pairs .* from 0 to below 1; got'):
        loss.similarity_maps(pictures(), points)
