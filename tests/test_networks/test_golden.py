"""Outputs of the authors' networks on weights that a formula fills."""

import pytest
import torch

from sesim_mmagic.networks import BlurPatchGAN, ResNetBlurGenerator
from tests.golden import field, smooth

pytestmark = pytest.mark.quick


def fill(network, scale):
    for i, parameter in enumerate(network.state_dict().values()):
        parameter.copy_(scale * field(tuple(parameter.shape), 10 + i))
    return network.eval()


@pytest.mark.parametrize(
    'network, shape, mean, std, first, last',
    [
        (
            ResNetBlurGenerator(base_channels=8, num_blocks=9),
            (1, 3, 64, 64),
            -0.0167213,
            0.5207121,
            (-0.128177, 0.040721, -0.222374),
            (-0.041262, 0.030121, -0.234866),
        ),
        (
            BlurPatchGAN(base_channels=8, num_layers=3),
            (1, 1, 6, 6),
            0.1190285,
            1.3819525,
            (1.886196, 0.744367, 2.223646),
            (-0.242765, -0.019784, -2.054405),
        ),
    ],
    ids=['ResNetBlurGenerator', 'BlurPatchGAN'],
)
def test_golden_output(network, shape, mean, std, first, last):
    with torch.no_grad():
        output = fill(network, 0.1)(3 * smooth(field((1, 3, 64, 64), 5)))
    assert output.shape == shape
    assert output.mean().item() == pytest.approx(mean, abs=2e-6)
    assert output.std().item() == pytest.approx(std, rel=1e-5)
    assert output.flatten()[:3].tolist() == pytest.approx(first, abs=1e-5)
    assert output.flatten()[-3:].tolist() == pytest.approx(last, abs=1e-5)
