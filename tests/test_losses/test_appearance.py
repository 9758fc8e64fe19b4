"""Views change appearance within stated limits, and nothing else."""

import colorsys

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as F

from sesim_mmagic.losses.appearance import appearance_view, map_colours, turn_hue
from tests.test_losses.test_lsesim import tiny_loss
from tests.tiny import TINY_VGG, pictures

DRAWS = 200


def picture(seed=0, height=20, width=24):
    """(3, H, W), RGB, uint8: patches of a few pixels, as photographs have them."""
    colours = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    resized = Image.fromarray(colours).resize((width, height), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.asarray(resized).copy()).permute(2, 0, 1)


def flat(red, green, blue):
    return torch.tensor([red, green, blue]).byte().view(3, 1, 1).expand(3, 4, 6)


def views(source, number=DRAWS, **settings):
    generator = torch.Generator().manual_seed(2021)
    return torch.stack([appearance_view(source, generator, **settings) for _ in range(number)])


def pillow_view(source, generator):
    """The authors' jitter on a Pillow picture, with the draws of ``appearance_view``."""
    draws = torch.rand(5, generator=generator).tolist()
    factors = [0.5 + draw for draw in draws[1:4]] + [0.6 * draws[4] - 0.3]
    steps = F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue
    image = Image.fromarray(source.permute(1, 2, 0).numpy())
    for number in torch.randperm(4, generator=generator).tolist():
        image = steps[number](image, factors[number])
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)


def test_views_are_those_of_pillow():
    """Within 2 levels of 255; a rounded hue may move a strong colour further, in few pixels."""
    differences = []
    for seed in range(40):
        source = picture(seed)
        generators = [torch.Generator().manual_seed(seed) for _ in range(2)]
        found, expected = appearance_view(source, generators[0]), pillow_view(source, generators[1])
        differences.append((found.int() - expected.int()).abs().flatten())
    differences = torch.cat(differences).float()
    assert differences.mean() < 0.4
    assert (differences > 2).float().mean() < 0.01


@pytest.mark.parametrize('share', [-0.3, -0.11, 0.02, 0.3])
def test_hue_turns_in_the_steps_of_pillow(share):
    source = picture(3, 40, 40)
    expected = np.asarray(F.adjust_hue(Image.fromarray(source.permute(1, 2, 0).numpy()), share))
    difference = (turn_hue(source, share).permute(1, 2, 0).int().numpy() - expected).__abs__()
    assert (difference > 2).mean() < 0.005


def test_geometry_stays():
    """Pixels that were alike are alike, in the same places."""
    regions = np.random.default_rng(0).integers(0, 4, (16, 18))
    colours = np.array([(20, 60, 200), (240, 180, 90), (90, 200, 30), (5, 5, 5)], np.uint8)
    source = torch.from_numpy(colours[regions]).permute(2, 0, 1)
    for view in views(source, 20, colour_map=0.5):
        assert not torch.equal(view, source) and view.shape == source.shape
        for region in range(len(colours)):
            assert len(view[:, regions == region].unique(dim=1)[0]) == 1


def test_draws_have_the_ranges_of_the_authors():
    """Of a colour all steps keep apart: value by brightness and contrast, hue by its turn."""
    grey = views(flat(100, 100, 100)).float()
    assert torch.equal(grey[:, 0], grey[:, 1]), 'grey pictures stay grey'
    assert 49 <= grey.min() < 60 and 140 < grey.max() <= 151
    turns = [colorsys.rgb_to_hsv(*pixel)[0] for pixel in views(flat(120, 60, 60))[..., 0, 0] / 255]
    turns = (np.array(turns) + 0.5) % 1 - 0.5
    assert -0.31 < turns.min() < -0.25 and 0.25 < turns.max() < 0.31


def test_colour_map_keeps_the_edges_of_a_channel():
    """Every curve runs from one end to the other, rising or falling, whatever was drawn."""
    ramp = torch.arange(256).byte().expand(3, 1, 256)
    generator = torch.Generator().manual_seed(0)
    curves = torch.stack([map_colours(ramp, generator)[:, 0] for _ in range(60)]).int()
    steps = curves.diff(dim=2)
    rising, falling = (steps >= 0).all(2), (steps <= 0).all(2)
    assert (rising | falling).all()
    assert ((curves[..., 0] - curves[..., -1]).abs() == 255).all()
    assert 0.3 < rising.float().mean() < 0.7
    assert len({tuple(signs.tolist()) for signs in rising}) == 8, 'channels are drawn on their own'
    assert steps.abs().max() < 8, 'curves are smooth'


def test_colour_map_puts_channels_in_any_order_as_often_as_asked():
    source = torch.zeros(3, 4, 6, dtype=torch.uint8)
    source[0, :, :3] = 255
    generator = torch.Generator().manual_seed(0)
    spans = [map_colours(source, generator).int() for _ in range(30)]
    spans = [view.amax((1, 2)) - view.amin((1, 2)) for view in spans]
    assert {int(span.argmax()) for span in spans} == {0, 1, 2}
    grey = flat(90, 90, 90)
    coloured = [(v[0] != v[1]).any() for v in views(grey, colour_map=0.25)]
    assert 0.15 < np.mean(coloured) < 0.35


@pytest.fixture
def moment(monkeypatch):
    """Sets what a runner and a launcher tell."""

    def at(iteration=0, seed=7, rank=0):
        from mmengine import MessageHub

        hub = MessageHub.get_current_instance()
        monkeypatch.setitem(hub._runtime_info, 'iter', iteration)
        monkeypatch.setitem(hub._runtime_info, 'seed', seed)
        monkeypatch.setattr('sesim_mmagic.losses.lsesim.get_rank', lambda: rank)

    return at


def test_views_follow_from_seed_iteration_and_number_of_the_picture(moment):
    loss = tiny_loss()
    same = pictures(0, 1).repeat(4, 1, 1, 1)
    moment()
    source, target = loss.make_views(same, same)
    torch.rand(3)
    again = tiny_loss().make_views(same, same)
    assert torch.equal(again[0], source) and torch.equal(again[1], target)
    everything = [*source, *target]
    for other in (dict(iteration=1), dict(seed=8)):
        moment(**other)
        everything += [*tiny_loss().make_views(same, same)[0]]
    assert all(not torch.equal(a, b) for i, a in enumerate(everything) for b in everything[:i])
    for rank in range(2):  # each has half of the batch
        moment(rank=rank)
        found = loss.make_views(same[:2], same[:2])
        assert torch.equal(found[0], source[2 * rank : 2 * rank + 2])
        assert torch.equal(found[1], target[2 * rank : 2 * rank + 2])


def test_without_a_runner_every_call_has_its_own_views(monkeypatch):
    monkeypatch.setattr('mmengine.MessageHub.runtime_info', {})
    loss, source = tiny_loss(), pictures()
    assert not torch.equal(*(loss.make_views(source)[0] for _ in range(2)))


@pytest.mark.parametrize('order', ['bgr', 'rgb'])
def test_images_have_the_order_of_the_loss(order, moment):
    """The view of the same picture is the same, whatever the order of its channels."""
    moment()
    loss = tiny_loss(feature_net=dict(TINY_VGG, channel_order=order))
    source = picture()[None].float() / 127.5 - 1
    given = source if order == 'rgb' else source.flip(1)
    (view,) = loss.make_views(given)
    rgb = view if order == 'rgb' else view.flip(1)
    expected = tiny_loss(feature_net=dict(TINY_VGG, channel_order='rgb')).make_views(source)[0]
    torch.testing.assert_close(rgb, expected)
    assert view.dtype == given.dtype and view.min() >= -1 and view.max() <= 1
