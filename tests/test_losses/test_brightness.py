"""The prior that tells a picture from its negative."""

import numpy as np
import pytest
import torch

from sesim_mmagic.losses import BrightnessLoss, FSeSimLoss
from tests.tiny import TINY_VGG, pictures


def test_value_is_what_the_correlation_lacks():
    source, translated = pictures(0), 0.6 * pictures(0) + 0.4 * pictures(1)
    translated[1] = -translated[1]
    brightness = [images.mean(1).flatten(1).numpy() for images in (source, translated)]
    r = [np.corrcoef(*pair)[0, 1] for pair in zip(*brightness, strict=True)]
    assert r[0] > 0.5 and r[1] < -0.5
    loss = BrightnessLoss(loss_weight=3.0, margin=0.2)
    assert loss(source, translated).item() == pytest.approx(3 * (0.2 - r[1]) / len(r), rel=1e-5)


@pytest.mark.parametrize('change', [lambda x: 0.01 * x - 0.9, lambda x: x**3, lambda x: x.flip(1)])
def test_colours_and_contrast_are_free(change):
    source = pictures(0)
    translated = change(source).requires_grad_()
    value = BrightnessLoss()(source, translated)
    value.backward()
    assert value.item() == 0 and not translated.grad.any()


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize('contrast', [0.0, 1e-6, 1e-3])
def test_a_flat_picture_gets_a_small_gradient_that_makes_light_light(dtype, contrast):
    source = pictures(0)
    translated = (0.1 - contrast * source).to(dtype).requires_grad_()
    BrightnessLoss()(source.to(dtype), translated).backward()
    gradient = translated.grad.float().mean(1)
    bright = source.mean(1) > source.mean((1, 2, 3))[:, None, None]
    assert gradient[bright].mean() < 0 < gradient[~bright].mean(), 'a step goes against it'
    # A scale of float16's gradients has to fit, too.
    assert 2**16 * gradient.abs().max() < torch.finfo(torch.float16).max


@pytest.mark.parametrize('beside, sign', [(0.0, -1), (1.0, 1)])
def test_it_turns_a_negative_round_which_fsesim_does_not(beside, sign):
    fsesim = FSeSimLoss(['relu1_2'], num_patches=-1, patch_size=8, feature_net=TINY_VGG)
    brightness = BrightnessLoss(loss_weight=beside)
    source, noise = (pictures(seed)[:1, :, :16, :16] for seed in range(2))
    painted = (0.2 * noise - 0.3 * source).requires_grad_()
    optimizer = torch.optim.Adam([painted], lr=0.1)
    for _ in range(12):
        optimizer.zero_grad()
        (fsesim(source, painted) + brightness(source, painted)).backward()
        optimizer.step()
    lights = [images.detach().mean(1).flatten() for images in (source, painted)]
    assert sign * torch.corrcoef(torch.stack(lights))[0, 1] > 0.05


@pytest.mark.parametrize(
    'settings, message', [(dict(margin=1.5), 'margin'), (dict(loss_weight=-1), 'loss_weight')]
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        BrightnessLoss(**settings)
