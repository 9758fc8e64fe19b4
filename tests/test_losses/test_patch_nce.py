import math

import numpy as np
import pytest
import torch

from sesim_mmagic.losses import PatchNCELoss
from sesim_mmagic.networks import ResNetBlurGenerator
from tests.tiny import TINY_VGG, pictures

LAYERS, CHANNELS = (0, 4, 12), (3, 8, 16)


def tiny_loss(**kwargs):
    torch.manual_seed(0)
    settings = dict(layers=LAYERS, channels=CHANNELS, width=6, num_patches=-1)
    loss = PatchNCELoss(**{**settings, **kwargs}).double()
    for parameter in loss.parameters():
        torch.nn.init.normal_(parameter)  # gain 0.02 makes every patch alike
    return loss


def features_of(count, requires_grad=False):
    """Feature maps of three layers, not square, two images."""
    generator = torch.Generator().manual_seed(1)
    sizes = ((4, 6), (3, 5), (2, 3))
    return [
        [
            torch.randn(2, channels, *size, generator=generator, dtype=torch.float64)
            .requires_grad_(requires_grad)
            for channels, size in zip(CHANNELS, sizes, strict=True)
        ]
        for _ in range(count)
    ]  # fmt: skip


def slow_loss(loss, source, translated):
    """The same in NumPy, a patch at a time."""
    layers = []
    for index, pair in enumerate(zip(source, translated, strict=True)):
        first, second = loss.get_submodule(f'mlp_{index}')[::2]
        rows = []
        for features in pair:
            flat = features.detach().flatten(2).numpy()
            hidden = np.einsum('oc,bcn->bno', first.weight.detach().numpy(), flat)
            hidden = np.maximum(hidden + first.bias.detach().numpy(), 0)
            out = np.einsum('oc,bnc->bno', second.weight.detach().numpy(), hidden)
            out = out + second.bias.detach().numpy()
            rows.append(out / np.linalg.norm(out, axis=2, keepdims=True))
        keys, queries = rows
        entropies = []
        for image in range(len(keys)):
            for n, query in enumerate(queries[image]):
                logits = keys[image] @ query / loss.temperature
                entropies.append(np.log(np.exp(logits - logits[n]).sum()))
        layers.append(np.mean(entropies))
    return loss.loss_weight * np.mean(layers)


def test_sees_through_a_frozen_network():
    names = ('relu1_2', 'relu2_2')
    loss = tiny_loss(layers=names, channels=(8, 16), feature_net=TINY_VGG)
    assert not loss.needs_generator and not any('feature_net' in n for n in loss.state_dict())
    source, translated = pictures(dtype=torch.float64), pictures(1, dtype=torch.float64)
    maps = [list(loss.feature_net(images).values()) for images in (source, translated)]
    value = loss(source, translated.requires_grad_())
    assert value.item() == pytest.approx(slow_loss(loss, *maps))
    value.backward()
    assert translated.grad.abs().sum() > 0 and loss.mlp_1[0].weight.grad.abs().sum() > 0
    with pytest.raises(ValueError, match=r'has \(8, 16\) channels .* set channels=\(8, 16\)'):
        tiny_loss(layers=names, channels=(3, 16), feature_net=TINY_VGG)


@pytest.mark.parametrize('temperature', [0.07, 0.5])
def test_agrees_with_slow_reference(temperature):
    loss = tiny_loss(temperature=temperature, loss_weight=3.0)
    source, translated = features_of(2)
    expected = slow_loss(loss, source, translated)
    assert loss.compare(source, translated).item() == pytest.approx(expected, rel=1e-9)


def test_negatives_of_the_whole_batch():
    """As if the batch were one image, its patches one after the other."""
    loss = tiny_loss(temperature=0.5, batch_negatives=True)
    pair = features_of(2)
    joined = [[features.flatten(2).mT.flatten(0, 1).mT[None, ..., None] for features in look]
              for look in pair]  # fmt: skip
    assert joined[0][0].shape == (1, CHANNELS[0], 2 * 4 * 6, 1)
    expected = slow_loss(loss, *joined)
    assert loss.compare(*pair).item() == pytest.approx(expected, rel=1e-9)
    assert loss.compare(*pair) > tiny_loss(temperature=0.5).compare(*pair)


def test_gradient():
    loss = tiny_loss(temperature=0.5)
    source, translated = features_of(2, requires_grad=True)
    parameters = list(loss.parameters())

    def value(*features):
        return loss.compare(source, list(features[:3]))

    assert torch.autograd.gradcheck(value, translated)
    loss.compare(source, translated).backward()
    assert all(features.grad is None for features in source), 'the source is no variable'
    assert all(parameter.grad.norm() > 0 for parameter in parameters)


def test_perceptrons_learn_from_the_translation_alone():
    loss, reference = tiny_loss(), tiny_loss()
    source, translated = features_of(2)
    loss.compare(source, translated).backward()
    total = 0
    for index, (key, query) in enumerate(zip(source, translated, strict=True)):
        head = reference.get_submodule(f'mlp_{index}')
        with torch.no_grad():
            keys = torch.nn.functional.normalize(head(key.flatten(2).mT), dim=2)
        queries = torch.nn.functional.normalize(head(query.flatten(2).mT), dim=2)
        logits = torch.bmm(queries, keys.mT) / 0.07
        total = total - logits.log_softmax(dim=2).diagonal(dim1=1, dim2=2).mean() / 3
    total.backward()
    for ours, theirs in zip(loss.parameters(), reference.parameters(), strict=True):
        assert torch.allclose(ours.grad, theirs.grad, rtol=1e-8)


def test_same_positions_in_both_and_as_many_as_asked():
    loss = tiny_loss(num_patches=4, temperature=0.01)
    source, _ = features_of(2)
    assert loss.compare(source, source).item() < math.log(4) / 2
    shuffled = [features.flip(2, 3) for features in source]
    assert loss.compare(source, shuffled).item() > math.log(4)


def test_names_and_shapes_are_those_of_cut():
    """latest_net_F.pth of a published CUT model."""
    loss = PatchNCELoss()
    expected = {}
    for index, channels in enumerate((3, 128, 256, 256, 256)):
        for layer, shape in ((0, (256, channels)), (2, (256, 256))):
            expected[f'mlp_{index}.{layer}.weight'] = shape
            expected[f'mlp_{index}.{layer}.bias'] = (256,)
    assert {name: tuple(t.shape) for name, t in loss.state_dict().items()} == expected
    deviation = 0.02 * math.sqrt(2 / (256 + 256))
    assert loss.mlp_4[0].weight.std().item() == pytest.approx(deviation, rel=0.02)


def test_images_through_a_generator():
    torch.manual_seed(0)
    generator = ResNetBlurGenerator(base_channels=4, num_blocks=1)
    loss = PatchNCELoss(LAYERS, CHANNELS, width=6, num_patches=-1)
    source, translated = torch.rand(2, 1, 3, 16, 24)
    expected = loss.compare(
        generator.encode(source, LAYERS), generator.encode(translated, LAYERS)
    )  # fmt: skip
    assert torch.allclose(loss(source, translated, generator), expected)
    with pytest.raises(ValueError, match='give it with the images'):
        loss(source, translated)


@pytest.mark.parametrize(
    'kwargs, match',
    [
        (dict(channels=(3, 8)), 'channels of each of the layers'),
        (dict(layers=(), channels=()), 'channels of each of the layers'),
        (dict(num_patches=0), 'num_patches must be'),
        (dict(temperature=0.0), 'temperature must be a finite number above 0'),
        (dict(width=0), 'width must be a whole number, positive'),
    ],
)
def test_bad_arguments(kwargs, match):
    with pytest.raises(ValueError, match=match):
        PatchNCELoss(**{**dict(layers=LAYERS, channels=CHANNELS), **kwargs})
