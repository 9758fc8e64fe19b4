"""What every structure loss does, whichever it is."""

import copy

import pytest
import torch

from sesim_mmagic.losses import StructureLoss
from sesim_mmagic.networks import ResNetBlurGenerator
from sesim_mmagic.registry import MODELS
from tests.tiny import TINY_FSESIM, TINY_LSESIM, TINY_PATCH_NCE, TINY_VGG, pictures

LAYERS = dict(layers=('relu1_2', 'relu2_2'), feature_net=TINY_VGG)
LOSSES = dict(
    brightness=dict(type='sesim_mmagic.BrightnessLoss', margin=1.0),
    pixel=dict(type='sesim_mmagic.PixelLoss'),
    perceptual=dict(type='sesim_mmagic.PerceptualLoss', **LAYERS),
    domain_invariant=dict(type='sesim_mmagic.PerceptualLoss', **LAYERS, domain_invariant=True),
    fsesim=dict(TINY_FSESIM, num_patches=-1),
    fsesim_l1=dict(TINY_FSESIM, num_patches=-1, distance='l1', normalize=False),
    lsesim=dict(TINY_LSESIM, num_patches=-1),
    patch_nce=dict(TINY_PATCH_NCE, num_patches=-1),
)


@pytest.mark.parametrize('name', LOSSES)
class TestStructureLoss:
    """Built from a config, as a translator builds it; called with images."""

    def build(self, name, **settings):
        torch.manual_seed(0)
        loss = MODELS.build(copy.deepcopy({**LOSSES[name], **settings}))
        loss.init_weights()
        generator = ResNetBlurGenerator(base_channels=4, num_blocks=1)
        return loss, (generator if loss.needs_generator else None)

    def test_is_a_scalar_with_its_weight(self, name):
        source, translated = pictures(0), pictures(1)
        loss, generator = self.build(name)
        doubled, _ = self.build(name, loss_weight=2 * loss.loss_weight)
        assert isinstance(loss, StructureLoss)
        values = [each(source, translated, generator) for each in (loss, doubled)]
        assert values[0].shape == () and values[0] > 0
        torch.testing.assert_close(values[1], 2 * values[0])

    def test_nothing_lost_costs_least(self, name):
        loss, generator = self.build(name)
        source = pictures()
        kept, lost = (loss(source, other, generator) for other in (source.clone(), -source))
        assert kept < lost
        assert generator is not None or kept.item() == pytest.approx(0, abs=1e-4)

    def test_gradients_reach_the_translation_alone(self, name):
        loss, generator = self.build(name)
        source, translated = (pictures(seed).requires_grad_() for seed in range(2))
        loss(source, translated, generator).backward()
        assert source.grad is None and translated.grad.abs().sum() > 0
        learned = [p for p in loss.parameters() if p.grad is not None]
        assert bool(learned) == loss.trains_with_generator

    def test_gradient_is_that_of_finite_differences(self, name):
        loss, generator = self.build(name)
        loss.double()
        if generator is not None:
            generator.double()
        source, translated, step = (pictures(s, 1, 16, 16, torch.float64) for s in range(3))
        translated.requires_grad_()
        loss(source, translated, generator).backward()
        with torch.no_grad():
            ends = [loss(source, translated + e * step, generator) for e in (1e-7, -1e-7)]
        expected = (ends[0] - ends[1]) / 2e-7
        torch.testing.assert_close((translated.grad * step).sum(), expected, rtol=1e-4, atol=1e-6)

    def test_features_are_compared_as_images_are(self, name):
        loss, generator = self.build(name)
        images = pictures(0), pictures(1)
        features = [loss.extract(image, generator) for image in images]
        value = loss(*features, mode='features')
        torch.testing.assert_close(value, loss(*images, generator))

    def test_half_precision_stays_near_float32(self, name):
        loss, generator = self.build(name)
        source, translated = pictures(0), pictures(1).requires_grad_()
        exact = loss(source, translated, generator)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            half = loss(source, translated, generator)
        half.backward()
        assert half.dtype == torch.float32 and translated.grad.isfinite().all()
        assert half.item() == pytest.approx(exact.item(), rel=0.03)

    def test_images_of_two_sizes_are_refused(self, name):
        loss, generator = self.build(name)
        with pytest.raises(ValueError, match='must have one shape'):
            loss(pictures(height=24), pictures(height=32), generator)
