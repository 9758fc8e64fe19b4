"""Distance between the structure of sources and of their translations."""

import numpy as np
import pytest
import torch
from torch import nn

from sesim_mmagic.datasets.shape_scenes import LAYOUTS, draw_labels, render_scene, sample_scene
from sesim_mmagic.evaluation import StructureDistance
from sesim_mmagic.evaluation.structure_distance import cut_tiles
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
    result = distance(*[pair(*p, i) for i, p in enumerate(pictures)], loss=fsesim(channel_order))
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
    assert type(loss).__name__ == 'FSeSimLoss' and loss.feature_net.network is None
    assert (loss.num_patches, loss.distance, loss.normalize, loss.loss_weight) == (-1, 'cos', 1, 1)
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
    with pytest.raises(
        ValueError,
        match=r'fake_flat has 60 x 64 pixels, img_textured \(data/testB/000\.png\) has 64 x 64',
    ):
        distance(pair(scene(0), scene(0)[:60]))


class Recorder(MeanDifference):
    """Notes the tiles it sees; far from a copy wherever the translation is white."""

    seen = []

    def extract(self, images):
        self.seen.append(tuple(images.shape[2:]))
        return super().extract(images)


@pytest.fixture
def seen():
    MODELS.register_module(module=Recorder, force=True)
    Recorder.seen = []
    return Recorder.seen


def test_tiles_are_compared_each_by_itself():
    """100 x 64 pixels in tiles of 64: two of 50 x 64."""
    source, fake = (
        np.concatenate([scene(i, s), scene(i + 5, s)])[:100] for i, s in enumerate('BA')
    )
    upper, lower = (distance(pair(source[rows], fake[rows])) for rows in np.s_[:50, 50:])
    assert upper != pytest.approx(lower, rel=1e-2)
    result = distance(pair(source, fake), tile_size=64)
    assert result == pytest.approx((upper + lower) / 2, rel=1e-6)
    assert result != pytest.approx(distance(pair(source, fake)), rel=1e-3)


def test_the_mean_is_weighted_by_pixels(seen):
    """A loss that is a mean over pixels gives the same with any tiles."""
    source = np.zeros((67, 131, 3), np.uint8)
    fake = np.random.default_rng(0).integers(0, 256, source.shape, np.uint8)
    fake[33:] //= 3
    loss = dict(type='sesim_mmagic.Recorder')
    expected = 2 * (fake / 127.5).mean()
    assert distance(pair(source, fake), loss=loss) == pytest.approx(expected)
    assert set(seen) == {source.shape[:2]}
    assert distance(pair(source, fake), loss=loss, tile_size=64) == pytest.approx(expected)


@pytest.mark.parametrize(
    ('height', 'width', 'tile_size'),
    [(966, 1200, 256), (257, 256, 256), (65, 300, 64), (40, 129, 64), (640, 640, 64)],
)
def test_no_tile_is_large_and_none_is_a_rest(seen, height, width, tile_size):
    """So memory is that of one tile, and each has pixels enough for VGG16's deepest layer."""
    black = np.zeros((height, width, 3), np.uint8)
    distance(pair(black, black), loss=dict(type='sesim_mmagic.Recorder'), tile_size=tile_size)
    tiles = seen[::2]
    assert seen[1::2] == tiles  # of the source and of the translation in turn
    assert sum(h * w for h, w in tiles) == height * width
    for sides, whole in zip(zip(*tiles, strict=True), (height, width), strict=True):
        assert max(sides) <= tile_size and max(sides) - min(sides) <= 1
        assert min(sides) >= min(whole, tile_size // 2)
    assert len(tiles) == -(-height // tile_size) * -(-width // tile_size)


def test_tiles_cover_the_picture_once():
    """Every pixel of a picture belongs to one tile."""
    covered = torch.zeros(1, 3, 100, 135)
    for tile in cut_tiles(100, 135, 64):
        covered[tile] += 1
    assert (covered == 1).all()


def test_the_smallest_tiles_do_for_the_deepest_layer():
    """65 pixels in tiles of 64 are 32 and 33: 2 x 2 positions."""
    pictures = [np.concatenate([scene(i)] * 2)[:65] for i in range(2)]
    result = distance(pair(*pictures), loss=fsesim(layers=('relu5_3',)), tile_size=64)
    assert np.isfinite(result) and result > 0


@pytest.mark.parametrize('tile_size', [0, -1, 63, 256.0, '256'])
def test_tile_sizes_that_do_not_do(tile_size):
    with pytest.raises(
        ValueError, match='tile_size must be a whole number, 64 or more or None, got '
    ):
        StructureDistance(TARGET, SOURCE, loss=fsesim(), tile_size=tile_size)
