import pytest
import torch

from sesim_mmagic.functional import augment
from tests.tiny import pictures

EVERYTHING = dict(colour=True, translation=0.25, cutout=0.5)


def reference(images, colour, translation, cutout):
    """The same pixel by pixel, from the same draws."""
    results = images.clone()
    batch, _, height, width = images.shape
    if colour:
        brightness, saturation, contrast = torch.rand(3, batch).double()
        for result, b, s, c in zip(results, brightness, saturation, contrast, strict=True):
            result += b - 0.5
            for y in range(height):
                for x in range(width):
                    grey = result[:, y, x].sum() / 3
                    result[:, y, x] = 2 * s * result[:, y, x] + (1 - 2 * s) * grey
            mean = result.sum() / result.numel()
            result.copy_((0.5 + c) * result + (0.5 - c) * mean)
    if translation:
        down, right = round(translation * height), round(translation * width)
        columns = 2 * right + 1
        for result, drawn in zip(
            results, torch.randint((2 * down + 1) * columns, (batch,)).tolist(), strict=True
        ):
            before = result.clone()
            for y in range(height):
                for x in range(width):
                    row, column = y + drawn // columns - down, x + drawn % columns - right
                    inside = 0 <= row < height and 0 <= column < width
                    result[:, y, x] = before[:, row, column] if inside else 0
    if cutout:
        for result, drawn in zip(
            results, torch.randint(height * width, (batch,)).tolist(), strict=True
        ):
            top, left = drawn // width - height // 4, drawn % width - width // 4
            for y in range(max(top, 0), min(top + height // 2, height)):
                result[:, y, max(left, 0) : max(left + width // 2, 0)] = 0
    return results


@pytest.mark.parametrize(
    'settings', [{name: value} for name, value in EVERYTHING.items()] + [EVERYTHING]
)
def test_like_the_pixelwise_reference(settings):
    images = pictures(batch=3, height=8, width=12, dtype=torch.float64)
    for seed in range(5):
        torch.manual_seed(seed)
        found = augment(images, **settings)
        torch.manual_seed(seed)
        expected = reference(images, **{**dict.fromkeys(EVERYTHING, 0), **settings})
        torch.testing.assert_close(found, expected)


def test_gradients_are_right():
    images = pictures(batch=2, height=3, width=4, dtype=torch.float64).requires_grad_()

    def held(images):
        torch.manual_seed(0)
        return augment(images, **EVERYTHING)

    torch.autograd.gradcheck(held, images)


def test_the_range_of_the_changes():
    torch.manual_seed(0)
    grey = augment(torch.zeros(400, 3, 4, 4), colour=True)
    assert grey.min() >= -0.5 and grey.max() <= 0.5 and grey.std() > 0.2
    shifted = augment(torch.ones(400, 1, 8, 8), translation=0.25)
    rows = (shifted.sum((1, 3)) > 0).sum(1)
    assert rows.min() == 6 and rows.max() == 8
    cut = augment(torch.ones(400, 1, 8, 8), cutout=0.5).sum((1, 2, 3))
    assert cut.min() == 48 and cut.max() < 64


def test_nothing_is_drawn_where_nothing_is_asked_for():
    images = pictures()
    torch.manual_seed(0)
    assert augment(images) is images
    first = torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(first, torch.rand(1))
