"""The translator on crops of single pictures: StyleGAN2's networks and penalties."""

import pytest
import torch
from mmengine import MessageHub
from mmengine.optim import AmpOptimWrapper

from sesim_mmagic.engine import CpuAmpOptimWrapper
from sesim_mmagic.translators.penalties import discriminator_penalties
from tests.test_translators.tiny import TINY_SINGLE_IMAGE, batch, one_sided, optim_wrappers
from tests.tiny import TINY_FSESIM, TINY_LSESIM, TINY_PATCH_NCE

# Layers of the encoder of two down samplings and one block: image, wide, halved, quartered.
SINCUT = {
    **TINY_PATCH_NCE,
    'layers': (0, 2, 4),
    'channels': (3, 8, 16),
    'num_patches': 1,
    'batch_negatives': True,
}
PENALTIES = dict(
    fsesim=(TINY_FSESIM, dict(gradient_penalty_weight=1.0)),
    lsesim=(TINY_LSESIM, dict(gradient_penalty_weight=1.0)),
    sincut=(SINCUT, dict(r1_weight=1.0, identity_weight=1.0, structure_identity_weight=1.0)),
)


@pytest.fixture(autouse=True)
def iteration_of_the_runner():
    MessageHub.get_current_instance().update_info('iter', 0)


@pytest.mark.parametrize('wrapper', [None, CpuAmpOptimWrapper])
@pytest.mark.parametrize('name', PENALTIES)
def test_every_structure_loss_trains(name, wrapper):
    loss, options = PENALTIES[name]
    model = one_sided(**TINY_SINGLE_IMAGE, structure_loss=loss, **options)
    before = {k: p.clone() for k, p in model.generators.named_parameters()}
    discriminator = {k: p.clone() for k, p in model.discriminators.named_parameters()}
    wrappers = optim_wrappers(model, **(dict(wrapper=wrapper) if wrapper else {}))
    losses = model.train_step(batch(size=4), wrappers)
    assert all(torch.isfinite(value) for value in losses.values())
    penalty = 'loss_r1' if name == 'sincut' else 'loss_gradient_penalty'
    assert losses[penalty] > 0
    for network, old in ((model.generators, before), (model.discriminators, discriminator)):
        assert all(not torch.equal(p, old[k]) for k, p in network.named_parameters())


class Quadratic(torch.nn.Module):
    """A score whose gradient is twice the image times a factor."""

    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = factor

    def forward(self, images):
        assert not torch.is_autocast_enabled(images.device.type)
        return self.factor * images.square().flatten(1).sum(1, keepdim=True)


def test_r1_is_half_the_squared_norm():
    real = torch.rand(3, 3, 8, 8)
    penalties = discriminator_penalties(Quadratic(), real, real, r1_weight=0.3)
    expected = 0.3 * 0.5 * (2 * real).flatten(1).square().sum(1).mean()
    torch.testing.assert_close(penalties['loss_r1'], expected)
    assert list(penalties) == ['loss_r1']


def test_gradient_penalty_is_taken_between_real_and_fake():
    real = torch.rand(3, 3, 8, 8)
    state = torch.get_rng_state()
    found = discriminator_penalties(Quadratic(), real, -real, gradient_penalty_weight=2.0)
    torch.set_rng_state(state)
    share = torch.rand(3, 1, 1, 1)
    norms = (2 * (2 * share - 1) * real).flatten(1).norm(dim=1)
    torch.testing.assert_close(found['loss_gradient_penalty'], 2 * (norms - 1).square().mean())


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_penalties_are_computed_in_full_precision(dtype):
    """Squares of small gradients are zero in float16, and those of large ones infinite."""
    real = torch.rand(2, 3, 8, 8)
    weights = dict(gradient_penalty_weight=1.0, r1_weight=1.0)
    for factor in (1e-6, 1e3):
        with torch.autocast('cpu', dtype):
            found = discriminator_penalties(Quadratic(factor), real, real.to(dtype), **weights)
        assert all(value.dtype == torch.float32 and value > 0 for value in found.values())
        assert all(torch.isfinite(value) for value in found.values())


@pytest.mark.skipif(not torch.cuda.is_available(), reason='float16 needs a GPU')
def test_float16_trains():
    model = one_sided(**TINY_SINGLE_IMAGE, gradient_penalty_weight=1.0).cuda()
    losses = model.train_step(batch(size=4), optim_wrappers(model, wrapper=AmpOptimWrapper))
    assert all(torch.isfinite(value) for value in losses.values())


@pytest.mark.parametrize('height, width', [(33, 50), (64, 9), (7, 7)])
def test_the_whole_picture_keeps_its_size(height, width):
    model = one_sided(**TINY_SINGLE_IMAGE).eval()
    images = torch.rand(1, 3, height, width) * 2 - 1
    assert model.translate(images).shape == images.shape


def test_crops_of_another_size_than_the_discriminator():
    model = one_sided(**TINY_SINGLE_IMAGE)
    with pytest.raises(ValueError, match='32 x 32 pixels, got 64 x 64: set discriminator.size'):
        model.train_step(batch(height=64, width=64), optim_wrappers(model))
