"""Distance between the structure of sources and of their translations."""

import numpy as np
import pytest
import torch
from torch import nn

from sesim_mmagic.datasets.procedural import LAYOUTS, draw_labels, render_scene, sample_scene
from sesim_mmagic.evaluation import StructureDistance
from sesim_mmagic.functional import self_similarity, spatial_distance
from sesim_mmagic.networks import VGG16Features
from sesim_mmagic.registry import MODELS
from tests.test_evaluation.samples import SOURCE, TARGET, evaluate, sample

LAYERS = ('relu2_2', 'relu3_1')
TINY_VGG = dict(type='sesim_mmagic.VGG16Features', pretrained=None, seed=0, width=0.25)
KEY = 'structure/distance'


def fsesim(channel_order='bgr', **settings):
    return {
        **dict(type='sesim_mmagic.FSeSimLoss', layers=LAYERS, num_patches=-1, loss_weight=1),
        **dict(feature_net={**TINY_VGG, 'channel_order': channel_order}),
        **settings,
    }


def distance(*samples, loss=None, **options):
    options = dict(source_domain=SOURCE, loss=loss or fsesim()) | options
    return evaluate(list(samples), 'StructureDistance', **options)[KEY]


def scene(seed, style='A', size=64):
    rng = np.random.default_rng(seed)
    labels = draw_labels(sample_scene(LAYOUTS['mismatch']['B'], rng, size), size)
    return render_scene(labels, style, rng)


def pair(source, fake, number=0):
    return sample(source=source, fake=fake, number=number)


def by_hand(source, fake):
    """The functional functions on RGB pictures, float64."""
    network = VGG16Features(LAYERS, pretrained=None, seed=0, width=0.25, channel_order='rgb')
    network.init_weights()
    network.double()
    batches = [torch.from_numpy(p / 127.5 - 1).permute(2, 0, 1)[None] for p in (source, fake)]
    values = []
    for maps in zip(*[network(batch).values() for batch in batches], strict=True):
        positions = torch.arange(maps[0].shape[2] * maps[0].shape[3])
        values.append(spatial_distance(*[self_similarity(m, positions, 64) for m in maps]).item())
    return np.mean(values)


@pytest.mark.parametrize('channel_order', ['bgr', 'rgb'])
def test_is_that_of_the_functions(channel_order):
    """Whatever order of channels the loss wants, it sees a picture's own colours."""
    pictures = [(scene(i, 'B'), scene(i + 1)) for i in range(2)]
    # A colour that its mirror image does not have: red and blue are told apart.
    pictures[0][1][:20] = (250, 10, 90)
    expected = [by_hand(*p) for p in pictures]
    result = distance(*[pair(*p) for p in pictures], loss=fsesim(channel_order))
    assert result == pytest.approx(np.mean(expected), rel=1e-4)
    assert by_hand(*[p[..., ::-1] for p in pictures[0]]) != pytest.approx(expected[0], rel=1e-3)


def test_a_copy_has_lost_nothing():
    assert distance(pair(scene(0), scene(0))) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize('style', ['A', 'B'])
def test_structure_counts_and_colour_hardly(style):
    for seed in range(3):
        source, other = scene(seed, style), scene(seed + 10, style)
        tinted = (source * [0.7, 0.8, 0.6] + [50, 20, 60]).astype(np.uint8)
        assert distance(pair(source, tinted)) < 0.2 * distance(pair(source, other))


def test_it_is_not_symmetric():
    first, second = scene(0, 'B'), scene(1)
    assert distance(pair(first, second)) != pytest.approx(distance(pair(second, first)), rel=1e-3)


def test_the_translation_as_it_is_saved():
    source = scene(0)
    fake = sample(fake=scene(1)).fake_flat
    saved = distance(pair(source, fake))
    assert distance(pair(source, fake + 0.4)) == saved
    assert distance(pair(source, fake + 300)) == distance(pair(source, np.full_like(source, 255)))


def test_pictures_of_different_size():
    pairs = [pair(scene(i, 'B', size), scene(i, 'A', size), i) for i, size in enumerate((48, 64))]
    single = [distance(p) for p in pairs]
    assert evaluate(pairs, 'StructureDistance', 2, source_domain=SOURCE, loss=fsesim())[
        KEY
    ] == pytest.approx(np.mean(single))


def test_nothing_is_drawn_and_repeats_are_equal():
    state = torch.get_rng_state()
    sampled = pair(scene(0, 'B'), scene(1))
    assert distance(sampled) == distance(sampled)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_usual_loss():
    """Built without its weights, which are read with the first picture."""
    metric = StructureDistance(TARGET, SOURCE)
    loss = metric.loss
    assert type(loss).__name__ == 'FSeSimLoss' and not loss.feature_net.weights_ready
    assert (loss.num_patches, loss.distance, loss.normalise, loss.loss_weight) == (-1, 'cos', 1, 1)
    assert loss.patch_size == 64 and loss.feature_net.layers == ('relu3_1', 'relu4_1', 'relu4_3')
    assert loss.feature_net.pretrained == 'torchvision'


class MeanDifference(nn.Module):
    """A loss of one's own: anything with ``extract`` and ``compare``."""

    channel_order = None

    def extract(self, images):
        return [images.mean(dim=(2, 3))]

    def compare(self, source, translated):
        return 2 * (source[0] - translated[0]).abs().mean()


def test_a_loss_of_ones_own():
    MODELS.register_module(module=MeanDifference, force=True)
    black = np.zeros((8, 8, 3), np.uint8)
    result = distance(pair(black, black + 51), loss=dict(type='sesim_mmagic.MeanDifference'))
    assert result == pytest.approx(2 * 51 / 127.5)


@pytest.mark.parametrize(
    ('loss', 'message'),
    [
        (dict(type='sesim_mmagic.LSeSimLoss'), 'LSeSimLoss compares by weights'),
        (dict(type='sesim_mmagic.PatchNCELoss'), 'PatchNCELoss compares by weights'),
        (fsesim(num_patches=64), 'draws num_patches=64 positions.*set num_patches=-1'),
    ],
)
def test_losses_that_make_no_score(loss, message):
    with pytest.raises(ValueError, match=message):
        StructureDistance(TARGET, SOURCE, loss=loss)


def test_sizes_that_differ():
    with pytest.raises(ValueError, match=r'source data/testB/000\.png has 64 x 64 .* 60 x 64'):
        distance(pair(scene(0), scene(0)[:60]))


def test_no_source():
    with pytest.raises(ValueError, match='StructureDistance: a sample has no img_textured'):
        distance(sample(fake=scene(0)))
