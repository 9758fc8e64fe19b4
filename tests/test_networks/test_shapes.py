import pytest
import torch

from sesim_mmagic.networks import BlurPatchGAN, ResNetBlurGenerator
from sesim_mmagic.networks.layers import BlurDownsample, BlurUpsample, InstanceNorm


@pytest.mark.parametrize('height, width', [(32, 32), (16, 40), (44, 20)])
def test_generator_keeps_the_size(height, width):
    network = ResNetBlurGenerator(base_channels=4, num_blocks=1)
    output = network(torch.rand(2, 3, height, width))
    assert output.shape == (2, 3, height, width)
    assert output.abs().max() <= 1


@pytest.mark.parametrize('num_layers, field', [(2, 34), (3, 70)])
def test_discriminator_judges_patches(num_layers, field):
    """A score depends on its patch alone, up to what the blur adds at the patch's rim.

    Instance norm would let every pixel reach every score, so it is left out here.
    """
    network = BlurPatchGAN(base_channels=4, num_layers=num_layers)
    for name, child in network.model.named_children():
        if isinstance(child, InstanceNorm):
            network.model[int(name)] = torch.nn.Identity()
    images = torch.rand(1, 3, 160, 160, requires_grad=True)
    scores = network(images)
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
    reached = images.grad.abs().sum((0, 1)).sum(0).nonzero()
    extent = (reached.max() - reached.min() + 1).item()
    assert field - 8 <= extent <= field + 2 ** (num_layers + 1)


def test_blur_keeps_constants_and_doubles_or_halves():
    ones = torch.ones(2, 3, 6, 9)
    assert torch.allclose(BlurDownsample()(ones), torch.ones(2, 3, 3, 5))
    assert torch.allclose(BlurUpsample()(ones), torch.ones(2, 3, 12, 18))


@pytest.mark.parametrize('batch', [1, 3])
@pytest.mark.parametrize('grad', [True, False])
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_instance_norm_is_that_of_each_image(batch, grad, layout):
    images = torch.randn(batch, 5, 8, 7) * torch.arange(1, batch + 1)[:, None, None, None] + 2
    with torch.set_grad_enabled(grad):
        found = InstanceNorm()(images.contiguous(memory_format=layout))
    torch.testing.assert_close(found, torch.nn.functional.instance_norm(images))
    assert batch == 1 or found.is_contiguous(memory_format=layout) or grad


def test_initialisation_is_xavier_with_a_small_gain():
    torch.manual_seed(0)
    network = ResNetBlurGenerator(base_channels=16, num_blocks=1)
    network.init_weights()
    weight = network.model[4].weight
    expected = 0.02 * (2 / (9 * (weight.shape[0] + weight.shape[1]))) ** 0.5
    assert weight.std().item() == pytest.approx(expected, rel=0.05)
    assert network.model[4].bias.abs().max() == 0


def test_bad_arguments():
    with pytest.raises(ValueError, match='base_channels must be a whole number, positive, got'):
        ResNetBlurGenerator(base_channels=0)
    with pytest.raises(ValueError, match='num_layers must be a whole number, positive, got 0'):
        BlurPatchGAN(num_layers=0)
