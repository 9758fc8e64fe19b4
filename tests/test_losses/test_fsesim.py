import copy

import pytest
import torch

from sesim_mmagic.functional import sample_positions
from sesim_mmagic.losses import FSeSimLoss, StyleLoss
from sesim_mmagic.registry import MODELS
from tests.test_functional.looped_reference import looped_self_similarity, looped_spatial_distance

TINY_VGG = dict(type='sesim_mmagic.VGG16Features', pretrained=None, seed=0, width=0.125)


def tiny_loss(**kwargs):
    settings = dict(
        layers=('relu2_2', 'relu3_1'), num_patches=12, patch_size=4, feature_net=TINY_VGG
    )
    return FSeSimLoss(**{**settings, **kwargs})


def pictures(seed=0, batch=2, height=24, width=40, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(batch, 3, height, width, generator=generator, dtype=dtype) - 1


@pytest.mark.parametrize('distance', ['cos', 'l1'])
@pytest.mark.parametrize('normalize', [True, False])
def test_agrees_with_looped_reference(distance, normalize):
    loss = tiny_loss(distance=distance, normalize=normalize, loss_weight=3.0).double()
    source, translated = pictures(0, dtype=torch.float64), pictures(1, dtype=torch.float64)
    torch.manual_seed(5)
    value = loss(source, translated)
    torch.manual_seed(5)
    expected = 0
    features = [loss.feature_net(images) for images in (source, translated)]
    for layer in loss.feature_net.layers:
        height, width = features[0][layer].shape[2:]
        positions = sample_positions(height, width, 12)
        maps = [looped_self_similarity(f[layer], positions, 4, normalize) for f in features]
        expected += 3.0 * looped_spatial_distance(*maps, distance, normalize) / 2
    assert value.item() == pytest.approx(expected.item(), rel=1e-9)


def test_nothing_lost_costs_nothing():
    source = pictures()
    assert tiny_loss()(source, source.clone()).item() == pytest.approx(0, abs=1e-5)


def test_gradient_reaches_the_translation_alone():
    source, translated = pictures(0).requires_grad_(), pictures(1).requires_grad_()
    tiny_loss()(source, translated).backward()
    assert source.grad is None
    assert translated.grad.abs().sum() > 0


def test_gradcheck():
    loss = tiny_loss(layers=('relu1_2',), num_patches=3, patch_size=3).double()
    source = pictures(0, 1, 5, 6, torch.float64)
    translated = pictures(1, 1, 5, 6, torch.float64).requires_grad_()

    def at_fixed_positions(translated):
        torch.manual_seed(0)
        return loss(source, translated)

    assert torch.autograd.gradcheck(at_fixed_positions, translated)


def test_bfloat16_autocast_stays_near_float32():
    loss = tiny_loss(num_patches=-1)
    source, translated = pictures(0), pictures(1).requires_grad_()
    exact = loss(source, translated)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        half = loss(source, translated)
    half.backward()
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(exact.item(), rel=0.02)
    assert translated.grad.isfinite().all()


def test_builds_in_an_mmagic_config():
    import mmagic.registry

    config = dict(type='sesim_mmagic.FSeSimLoss', feature_net=TINY_VGG)
    assert isinstance(mmagic.registry.MODELS.build(copy.deepcopy(config)), FSeSimLoss)
    loss = MODELS.build(config)
    assert loss.loss_weight == 10.0
    assert loss.feature_net.layers == ('relu3_1', 'relu4_1', 'relu4_3')


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(layers=('relu9_1',)), "layers must be among .* got .'relu9_1'"),
        (dict(distance='l2'), "distance must be one of .* got 'l2'"),
        (dict(num_patches=0), 'num_patches must be a whole number, positive or -1'),
        (dict(num_patches=-3), 'num_patches must be a whole number, positive or -1'),
        (dict(patch_size=1), 'patch_size must be a whole number, 2 or more'),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        tiny_loss(**arguments)


def test_images_of_two_sizes():
    with pytest.raises(ValueError, match='one shape'):
        tiny_loss()(pictures(height=24), pictures(height=32))


def test_style_loss_is_blind_to_structure():
    """Shuffled 16-pixel tiles keep an image's Gram matrices nearly; another texture does not."""
    loss = StyleLoss(layers=('relu1_2', 'relu2_2'), feature_net=TINY_VGG)
    style = pictures(0, 1, 64, 64)
    tiles = style.unfold(2, 16, 16).unfold(3, 16, 16).flatten(2, 3)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    shuffled = (
        tiles[:, :, order].view(1, 3, 4, 4, 16, 16).permute(0, 1, 2, 4, 3, 5).reshape(1, 3, 64, 64)
    )
    other = torch.nn.functional.avg_pool2d(pictures(1, 1, 64, 64), 5, 1, 2)
    assert loss(style, style).item() == 0
    assert loss(style, shuffled) < 0.1 * loss(style, other)
    # F-LSeSim divides Gram matrices by the number of images and averages over images as well.
    twice = loss(style.repeat(2, 1, 1, 1), other.repeat(2, 1, 1, 1))
    torch.testing.assert_close(twice, loss(style, other) / 2)
