"""What a test of a structure loss asks: values, invariances, gradients, bad arguments."""

import numpy as np
import pytest
import torch
from gradient_field import GradientFieldLoss


def pictures(*size, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(size, generator=generator, dtype=dtype) * 2 - 1


def reference(source, translated, edge):
    """The formula once more, slowly and in NumPy: one scale, matrices written out."""
    fields = []
    for image in (source, translated):
        gy, gx = np.gradient(image.double().numpy().mean(1), axis=(1, 2))
        n = np.stack([gx, gy], -1) / np.sqrt(gx**2 + gy**2 + edge**2)[..., None]
        fields.append(n[..., :, None] * n[..., None, :])
    return (np.linalg.norm(fields[0] - fields[1], axis=(-2, -1)) ** 2).mean()


def test_value_is_that_of_the_formula():
    source, translated = pictures(2, 3, 12, 17), pictures(2, 3, 12, 17, seed=1)
    loss = GradientFieldLoss(edge=0.1, scales=1, loss_weight=2.0)
    expected = 2 * reference(source, translated, 0.1)
    assert loss(source, translated).item() == pytest.approx(expected, rel=1e-5)


def test_coarser_scales_are_means_of_pixels():
    source, translated = pictures(1, 3, 8, 12), pictures(1, 3, 8, 12, seed=1)
    halves = [
        image.unfold(2, 2, 2).unfold(3, 2, 2).mean((-2, -1)) for image in (source, translated)
    ]
    expected = (reference(source, translated, 0.05) + reference(*halves, 0.05)) / 2
    loss = GradientFieldLoss(scales=2, loss_weight=1.0)
    assert loss(source, translated).item() == pytest.approx(expected, rel=1e-5)


def test_appearance_may_change_and_structure_may_not():
    source = pictures(1, 3, 16, 20)
    loss = GradientFieldLoss()
    assert loss(source, source).item() == 0
    assert loss(source, -source).item() == pytest.approx(0, abs=1e-6)  # the negative
    assert loss(source, source.flip(1)).item() == pytest.approx(0, abs=1e-6)  # other channels
    for lost in (source.flip(3), torch.zeros_like(source)):
        assert loss(source, lost).item() > 1


def test_gradients_are_right_and_flow_through_the_translation_alone():
    source = pictures(1, 3, 8, 9, dtype=torch.float64).requires_grad_()
    translated = pictures(1, 3, 8, 9, seed=1, dtype=torch.float64).requires_grad_()
    loss = GradientFieldLoss(scales=2)
    assert torch.autograd.gradcheck(lambda t: loss(source, t), (translated,), fast_mode=True)
    loss(source, translated).backward()
    assert source.grad is None and translated.grad.abs().sum() > 0


def test_half_precision_gives_the_value_of_float32():
    source, translated = pictures(1, 3, 16, 16) / 100, pictures(1, 3, 16, 16, seed=1) / 100
    loss = GradientFieldLoss()
    expected = loss(source.half().float(), translated.half().float())
    assert torch.equal(loss(source.half(), translated.half()), expected)


@pytest.mark.parametrize('bad', [dict(edge=0.0), dict(scales=0)])
def test_bad_arguments(bad):
    with pytest.raises(ValueError, match='must be positive'):
        GradientFieldLoss(**bad)
