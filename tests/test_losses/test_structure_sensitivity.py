"""Without any training: does a loss tell the true translation from a wrong one?"""

import numpy as np
import pytest
import torch

from sesim_mmagic.datasets.shape_scenes import LAYOUTS, draw_labels, render_scene, sample_scene
from sesim_mmagic.losses import FSeSimLoss

NUM_SCENES = 64


def to_tensor(image):
    return torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 127.5 - 1


@pytest.fixture(scope='module')
def scenes():
    """Per scene: its picture in style B, the truth in style A, and three wrong pictures."""
    rng = np.random.default_rng(0)
    layout = LAYOUTS['matched']['B']
    shapes = [sample_scene(layout, rng) for _ in range(NUM_SCENES + 1)]
    rows = []
    for scene, next_scene in zip(shapes, shapes[1:], strict=False):
        labels = draw_labels(scene)
        wrong = dict(
            shifted=np.roll(labels, 4, axis=1),
            extra=draw_labels([*scene, next_scene[0]]),
            other=draw_labels(next_scene),
        )
        source = to_tensor(render_scene(labels, 'B', rng))
        truth = to_tensor(render_scene(labels, 'A'))
        rows.append((source, truth, {k: to_tensor(render_scene(v, 'A')) for k, v in wrong.items()}))
    return rows


def share_told_apart(scenes, loss):
    """For each kind of wrong picture the share of scenes whose truth has the lower loss."""

    def distance(source, image):
        torch.manual_seed(0)  # the same query positions for truth and wrong pictures
        return loss(source, image).item()

    wins = []
    with torch.no_grad():
        for source, truth, wrong in scenes:
            lost = distance(source, truth)
            wins.append({kind: lost < distance(source, image) for kind, image in wrong.items()})
    return {kind: np.mean([win[kind] for win in wins]) for kind in wins[0]}


def test_fsesim_sees_structure_through_a_change_of_style(scenes):
    loss = FSeSimLoss(
        layers=('relu2_2',),
        num_patches=256,
        feature_net=dict(type='sesim_mmagic.VGG16Features', pretrained=None, seed=0, width=0.5),
    )
    told = share_told_apart(scenes, loss)
    assert told['shifted'] >= 0.95 and told['extra'] >= 0.9 and told['other'] >= 0.95, told


def test_pixel_l1_does_not(scenes):
    """The control: were the scenes easy, a loss on colours would tell them apart too."""
    told = share_told_apart(scenes, torch.nn.L1Loss())
    assert max(told.values()) < 0.7, told
