from pathlib import PurePosixPath

import pytest
import torch

from sesim_mmagic.functional import sample_positions
from sesim_mmagic.losses import LearnedStructureLoss, LSeSimLoss
from sesim_mmagic.registry import MODELS
from tests.test_functional.looped_reference import looped_self_similarity, looped_spatial_distance
from tests.test_functional.test_contrastive import looped_info_nce
from tests.tiny import TINY_VGG, pictures


def tiny_loss(**kwargs):
    torch.manual_seed(0)
    settings = dict(
        layers=('relu2_2', 'relu3_1'), num_patches=12, patch_size=4, feature_net=TINY_VGG
    )
    return LSeSimLoss(**{**settings, **kwargs})


def features_of(loss, count, dtype=torch.float32):
    return [loss.extract(pictures(seed, dtype=dtype)) for seed in range(count)]


def test_heads_are_those_of_the_authors_checkpoint():
    """Names and shapes of latest_net_F.pth for relu3_1, relu4_1, relu4_3."""
    loss = LSeSimLoss(feature_net=dict(type='sesim_mmagic.VGG16Features', pretrained=None, seed=0))
    expected = {}
    for index, (channels, width) in enumerate([(256, 64), (512, 128), (512, 128)]):
        expected[f'conv_{index}.0.weight'] = (width, channels, 1, 1)
        expected[f'conv_{index}.2.weight'] = (width, width, 1, 1)
        for layer in (0, 2):
            expected[f'conv_{index}.{layer}.bias'] = (width,)
    assert {name: tuple(t.shape) for name, t in loss.heads.state_dict().items()} == expected
    weights = torch.cat([p.flatten() for n, p in loss.heads.named_parameters() if 'weight' in n])
    assert weights.std().item() == pytest.approx(0.02, rel=0.02)
    assert set(loss.state_dict()) == {f'heads.{name}' for name in expected}, 'VGG16 was saved too'


@pytest.mark.parametrize('normalize', [True, False])
def test_compare_agrees_with_looped_reference(normalize):
    loss = tiny_loss(normalize=normalize, loss_weight=3.0).double()
    source, translated = features_of(loss, 2, torch.float64)
    torch.manual_seed(5)
    value = loss.compare(source, translated)
    torch.manual_seed(5)
    expected = 0
    for head, *pair in zip(loss.heads.values(), source, translated, strict=True):
        positions = sample_positions(*pair[0].shape[2:], 12)
        maps = [looped_self_similarity(head(f), positions, 4, normalize) for f in pair]
        expected += 3.0 * looped_spatial_distance(*maps, 'cos', normalize) / 2
    assert value.item() == pytest.approx(expected.item(), rel=1e-8)


def test_contrast_agrees_with_looped_reference():
    """Two positives, each with its own other image; the same queries in all of them."""
    loss = tiny_loss(temperature=0.3).double()
    anchor, *others = features_of(loss, 5, torch.float64)
    torch.manual_seed(5)
    value = loss.contrast(anchor, others[:2], others[2:])
    torch.manual_seed(5)
    expected = 0
    for layer, head in enumerate(loss.heads.values()):
        positions = sample_positions(*anchor[layer].shape[2:], 12)
        maps = [looped_self_similarity(head(x[layer]), positions, 4) for x in (anchor, *others)]
        for positive in (1, 2):
            expected += looped_info_nce(maps[0], maps[positive], maps[positive + 2], 0.3) / 4
    assert value.item() == pytest.approx(expected.item(), rel=1e-8)


def test_comparing_teaches_the_generator_alone():
    loss = tiny_loss()
    source, translated = pictures(0), pictures(1).requires_grad_()
    loss(source, translated).backward()
    assert translated.grad.abs().sum() > 0
    assert all(p.grad is None for p in loss.parameters())


def test_learning_teaches_every_head():
    loss = tiny_loss()
    source, translated, target = (pictures(seed) for seed in range(3))
    features = [loss.extract(images) for images in (source, translated)]
    loss(*features, source, target, mode='learn').backward()
    assert all(p.grad.abs().sum() > 0 for n, p in loss.named_parameters() if 'weight' in n)


def test_heads_learn_what_stays():
    """Trained by contrast, they tell the same place in another look from other places better."""
    loss = tiny_loss(num_patches=-1)
    generator = torch.Generator().manual_seed(0)
    images = torch.nn.functional.avg_pool2d(pictures(0, 8, 36, 36), 5, 1)
    other = torch.nn.functional.avg_pool2d(pictures(1, 8, 36, 36), 5, 1)

    def recolour(x):
        weights = torch.rand(8, 3, 1, 1, generator=generator) * 2 - 1
        return (x * weights).sum(1, keepdim=True).expand_as(x) + 0.1 * weights

    fresh, stranger = loss.extract(recolour(images)), loss.extract(other)
    anchor = loss.extract(images)
    before = loss.contrast(anchor, [fresh], [stranger]).item()
    optimizer = torch.optim.Adam(loss.parameters(), lr=2e-3)
    for _ in range(30):
        optimizer.zero_grad()
        loss.contrast(anchor, [loss.extract(recolour(images))], [stranger]).backward()
        optimizer.step()
    assert loss.contrast(anchor, [fresh], [stranger]).item() < 0.9 * before


def test_builds_in_a_config():
    loss = MODELS.build(dict(type='sesim_mmagic.LSeSimLoss', feature_net=TINY_VGG))
    assert isinstance(loss, LearnedStructureLoss)
    assert (loss.patch_size, loss.temperature, loss.loss_weight) == (32, 0.07, 10.0)


def test_heads_from_a_file(tmp_path):
    trained = tiny_loss()
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(1)
    path = str(tmp_path / 'latest_net_F.pth')
    torch.save(trained.heads.state_dict(), path)
    loss = tiny_loss(heads=path)
    loss.init_weights()
    for name, tensor in trained.heads.state_dict().items():
        assert torch.equal(loss.heads.state_dict()[name], tensor), name


def test_heads_from_a_bad_file(tmp_path):
    path = tmp_path / 'net_F.pth'
    with pytest.raises(FileNotFoundError, match='LSeSim heads .* do not exist; set structure_loss'):
        tiny_loss(heads=str(path)).init_weights()
    torch.save(tiny_loss(layers=('relu2_2',)).heads.state_dict(), path)
    with pytest.raises(ValueError, match=r"do not fit the layers \('relu2_2', 'relu3_1'\).*conv_1"):
        tiny_loss(heads=str(path)).init_weights()
    torch.save(PurePosixPath('not a tensor'), path)
    with pytest.raises(ValueError, match='cannot be read'):
        tiny_loss(heads=str(path)).init_weights()


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(colour_map=2), 'colour_map must be'),
        (dict(temperature=0), 'LSeSimLoss: temperature must be a finite number above 0, got 0'),
        (dict(patch_size=1), 'LSeSimLoss: patch_size must be a whole number, 2 or more'),
        (dict(layers=('relu9_1',)), 'layers must be among'),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        tiny_loss(**arguments)
