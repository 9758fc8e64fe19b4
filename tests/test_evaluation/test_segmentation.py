"""Scores of a segmentation of translations against the labels of their sources."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from sklearn.metrics import accuracy_score, balanced_accuracy_score, jaccard_score
from torch import nn

from sesim_mmagic.datasets.shape_scenes import PALETTE
from sesim_mmagic.evaluation import NetworkSegmentor, SegmentationScores
from sesim_mmagic.networks.vgg16 import IMAGENET_MEAN, IMAGENET_STD
from sesim_mmagic.registry import MODELS
from tests.test_evaluation.samples import SOURCE, TARGET, evaluate, sample

BY_PALETTE = dict(type='sesim_mmagic.ByPalette')
SHAPE = (18, 22)
ROOT = Path(__file__).parents[2]
CITYSCAPES = 'fsesim_resnet_1xb1-1190kiters_cityscapes-label2photo.py'


def label_maps(seed, num_classes=4, ignored=0.1, right=0.6):
    """Truth, with some 255, and what was found, right at most places."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, num_classes, SHAPE)
    found = np.where(rng.random(SHAPE) < right, truth, rng.integers(0, num_classes, SHAPE))
    truth = np.where(rng.random(SHAPE) < ignored, 255, truth)
    return truth, found


def write(folder, labels, number=0):
    folder.mkdir(exist_ok=True)
    Image.fromarray(labels.astype(np.uint8)).save(folder / f'{number:03d}.png')


def drawn(labels, number=0):
    """A sample whose translation shows these labels in the palette's colours."""
    return sample(fake=PALETTE[labels], number=number)


def samples_and_files(folder, count=5, **options):
    """Samples, label files, and all their truths and findings that count."""
    pairs = [label_maps(seed, **options) for seed in range(count)]
    for number, (truth, _) in enumerate(pairs):
        write(folder, truth, number)
    truth, found = (np.stack(maps).ravel() for maps in zip(*pairs, strict=True))
    samples = [drawn(found_one, number) for number, (_, found_one) in enumerate(pairs)]
    return samples, truth[truth != 255], found[truth != 255]


def segmentation(samples, folder, segmentor=BY_PALETTE, num_classes=4, **options):
    settings = dict(label_folder=str(folder), segmentor=segmentor, num_classes=num_classes)
    result = evaluate(
        samples, 'SegmentationScores', **(dict(source_domain=SOURCE) | settings | options)
    )
    return {key.removeprefix('segmentation/'): value for key, value in result.items()}


def test_scores_are_those_of_sklearn(tmp_path):
    samples, truth, found = samples_and_files(tmp_path / 'labels')
    miou = jaccard_score(truth, found, average='macro')
    expected = dict(
        pixel_accuracy=accuracy_score(truth, found),
        class_accuracy=balanced_accuracy_score(truth, found),
        miou=miou,
        mAP=miou,
    )
    assert segmentation(samples, tmp_path / 'labels') == pytest.approx(expected)
    assert 0.3 < miou < expected['pixel_accuracy'] < 0.8


def test_scores_by_hand(tmp_path):
    """Classes of 4, 2, 0 and 0 pixels; one of the first is taken for the third."""
    write(tmp_path, np.array([[0, 0, 0], [0, 1, 1], [255, 255, 255]]))
    found = drawn(np.array([[0, 0, 2], [0, 1, 1], [3, 3, 3]]))
    assert segmentation([found], tmp_path) == pytest.approx(
        dict(pixel_accuracy=5 / 6, class_accuracy=(3 / 4 + 1) / 2, miou=(3 / 4 + 1 + 0) / 3)
        | dict(mAP=(3 / 4 + 1 + 0) / 3)
    )


def test_labels_have_the_name_of_the_source(tmp_path):
    for number in range(3):
        write(tmp_path, np.full(SHAPE, number), number)
    found = sample(fake=PALETTE[np.full(SHAPE, 2)], number=2, truth_number=1)
    assert segmentation([found], tmp_path)['pixel_accuracy'] == 1


def test_labels_lie_in_folders_as_their_sources(tmp_path):
    for number, folder in enumerate(('testB', 'x/testB', 'x')):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        write(tmp_path / folder, np.full(SHAPE, number), 7)
    (tmp_path / '.hidden').mkdir()
    write(tmp_path / '.hidden', np.full(SHAPE, 3), 7)
    for path, label in (('data/testB/007.jpg', 0), ('data/x/testB/007.png', 1), ('x/007.tif', 2)):
        found = sample(fake=PALETTE[np.full(SHAPE, label)], number=7)
        found.set_metainfo({f'img_{SOURCE}_path': path})
        assert segmentation([found], tmp_path)['pixel_accuracy'] == 1
    with pytest.raises(FileNotFoundError, match="holds '.*007.png' and '.*007.png'"):
        found.set_metainfo({f'img_{SOURCE}_path': 'elsewhere/007.png'})
        segmentation([found], tmp_path)


@pytest.mark.parametrize('factor', [2, 3])
def test_labels_are_resized_to_the_picture(tmp_path, factor):
    """Each pixel takes the label at its centre, none between two labels."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, SHAPE)
    large = truth.repeat(factor, axis=0).repeat(factor, axis=1)
    write(tmp_path, large)
    assert segmentation([drawn(truth)], tmp_path)['pixel_accuracy'] == 1
    write(tmp_path, truth)
    assert segmentation([drawn(large)], tmp_path)['pixel_accuracy'] == 1


def test_labels_with_a_palette(tmp_path):
    """As the synthetic shapes have them: numbers that viewers show as colours."""
    truth, _ = label_maps(0, ignored=0)
    image = Image.fromarray(truth.astype(np.uint8))
    image.putpalette(PALETTE.tobytes())
    image.save(tmp_path / '000.png')
    assert segmentation([drawn(truth)], tmp_path)['miou'] == 1


def test_label_map(tmp_path):
    """Ids to classes as in Cityscapes; what the map does not name does not count."""
    truth, found = label_maps(0, ignored=0)
    ids = np.array([7, 8, 11, 33])
    write(tmp_path, np.where(truth == 2, 4, ids[truth]))
    scores = segmentation([drawn(found)], tmp_path, label_map={7: 0, 8: 1, 33: 3})
    counted = truth != 2
    assert scores['pixel_accuracy'] == pytest.approx((truth == found)[counted].mean())


def test_ignore_index(tmp_path):
    truth, found = label_maps(0, ignored=0)
    write(tmp_path, truth)
    scores = segmentation([drawn(found)], tmp_path, ignore_index=1)
    assert scores['pixel_accuracy'] == pytest.approx((truth == found)[truth != 1].mean())


def test_confusion_of_many_pixels_is_counted_in_64_bits(tmp_path):
    write(tmp_path, np.zeros(SHAPE))
    metric = SegmentationScores(
        TARGET, SOURCE, label_folder=tmp_path, segmentor=BY_PALETTE, num_classes=4
    )
    confusion = metric.measure(drawn(np.zeros(SHAPE, int)))['confusion']
    assert confusion.dtype == np.int64 and confusion[0, 0] == confusion.sum() == 18 * 22


class Pointwise(nn.Module):
    """Logits of a linear layer, at half the size."""

    def __init__(self, num_classes=5, step=2):
        super().__init__()
        self.layer = nn.Conv2d(3, num_classes, 1)
        self.step = step

    def forward(self, images):
        return self.layer(images)[:, :, :: self.step, :: self.step]


def random_pictures(height=12, width=16):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, height, width), generator=generator).float()


@pytest.fixture
def pointwise(tmp_path):
    """Network, the config of one like it, and a file with its weights."""
    MODELS.register_module(module=Pointwise, name='Pointwise', force=True)
    network = Pointwise()
    torch.save(network.state_dict(), tmp_path / 'net.pth')
    return network, dict(type='sesim_mmagic.Pointwise'), str(tmp_path / 'net.pth')


def test_network_segmentor(pointwise):
    """ImageNet's mean and deviation; logits at the size of the pictures."""
    network, config, path = pointwise
    segmentor, pictures = NetworkSegmentor(config, path), random_pictures()
    mean, std = (torch.tensor(x)[:, None, None] for x in (IMAGENET_MEAN, IMAGENET_STD))
    with torch.no_grad():
        expected = nn.functional.interpolate(
            network((pictures / 255 - mean) / std), (12, 16), mode='bilinear', align_corners=False
        )
        torch.testing.assert_close(segmentor(pictures), expected)


def test_network_segmentor_sees_rgb(pointwise, tmp_path):
    """A network that finds red, against labels of where red is."""
    weights = torch.tensor([[0.0, 0, 1], [1, 0, 0]])[..., None, None]
    torch.save({'layer.weight': weights, 'layer.bias': torch.zeros(2)}, tmp_path / 'red.pth')
    truth = np.random.default_rng(0).integers(0, 2, (9, 11)).repeat(2, 0).repeat(2, 1)
    write(tmp_path / 'labels', truth)
    fake = np.array([[10, 60, 200], [200, 60, 10]], np.uint8)[truth]
    config = dict(pointwise[1], num_classes=2, step=1)
    segmentor = dict(
        type='sesim_mmagic.NetworkSegmentor', network=config, pretrained=str(tmp_path / 'red.pth')
    )
    scores = segmentation([sample(fake=fake)], tmp_path / 'labels', segmentor, 2)
    assert scores['pixel_accuracy'] == 1


def test_random_weights_of_a_segmentor_follow_their_seed(pointwise):
    pictures = random_pictures()
    first, same, other = (
        NetworkSegmentor(pointwise[1], None, seed)(pictures) for seed in (0, 0, 1)
    )
    assert torch.equal(first, same) and not torch.allclose(first, other)
    for settings in (dict(pretrained=None), dict(pretrained='x.pth', seed=0)):
        with pytest.raises(ValueError, match='with pretrained=None and a seed'):
            NetworkSegmentor(pointwise[1], **settings)


def test_wrong_weights_of_a_segmentor(pointwise):
    _, config, path = pointwise
    with pytest.raises(FileNotFoundError, match=r"'no\.pth' do not exist; set segmentor.pre"):
        NetworkSegmentor(config, 'no.pth').init_weights()
    with pytest.raises(ValueError, match=r"do not fit: 'layer.weight' has shape \(5, 3, 1, 1\)"):
        NetworkSegmentor(dict(config, num_classes=4), path).init_weights()


def test_pictures_and_labels_are_compared_at_the_size_of_the_protocol(tmp_path):
    """Pictures are made smaller smoothly, labels to the nearest."""
    truth = np.random.default_rng(0).integers(0, 4, (9, 11))
    write(tmp_path, truth.repeat(4, 0).repeat(4, 1))
    large = PALETTE[truth].repeat(2, 0).repeat(2, 1)
    expected = np.array(Image.fromarray(large).resize((11, 9), Image.BICUBIC))
    seen = []
    metric = SegmentationScores(
        TARGET, SOURCE, label_folder=tmp_path, segmentor=BY_PALETTE, num_classes=4, size=(9, 11)
    )
    metric.segmentor.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    confusion = metric.measure(sample(fake=large))['confusion']
    np.testing.assert_array_equal(seen[0][0].permute(1, 2, 0), expected)
    assert confusion.sum() == 9 * 11 == np.trace(confusion)


def test_cityscapes_are_scored_by_drn(tmp_path):
    """The recipe's metric, on random weights: 19 classes of Cityscapes' ids at 128 x 256."""
    config = Config.fromfile(ROOT / 'configs/fsesim' / CITYSCAPES)
    options = dict(config.test_evaluator[1])
    assert options.pop('type') == 'sesim_mmagic.SegmentationScores'
    options['segmentor'].update(pretrained=None, seed=0)
    labels = np.random.default_rng(0).choice(sorted(options['label_map']), (256, 512))
    labels[:10] = 3  # out of the region of interest
    (tmp_path / 'labels').mkdir()
    Image.fromarray(labels.astype(np.uint8)).save(tmp_path / 'labels/000.png')
    options['label_folder'] = str(tmp_path / 'labels')
    metric = SegmentationScores(**options)
    fake = random_pictures(256, 256)[0]
    data_sample = {'fake_photo': fake, 'img_label_path': 'data/testB/000.png'}
    confusion = metric.measure(data_sample)['confusion']
    assert confusion.shape == (19, 19) and confusion.sum() == (128 - 5) * 256
    assert set(metric.compute_metrics([dict(confusion=confusion)])) == {
        'pixel_accuracy', 'class_accuracy', 'miou', 'mAP'
    }  # fmt: skip


def test_no_label_file(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"must hold one .* named as 'data/testB/003\.png', but holds none"
    ):
        segmentation([drawn(np.zeros(SHAPE, int), 3)], tmp_path)


def test_no_path_of_the_source(tmp_path):
    with pytest.raises(ValueError, match='a sample has no img_elsewhere_path'):
        segmentation([drawn(np.zeros(SHAPE, int))], tmp_path, source_domain='elsewhere')


@pytest.mark.parametrize('label_map', [None, {0: 0, 9: 7}])
def test_a_label_without_a_class(tmp_path, label_map):
    labels = np.zeros(SHAPE)
    labels[3, 4] = 9 if label_map else 7
    write(tmp_path, labels)
    with pytest.raises(ValueError, match=r'000\.png holds the classes \[7\].*num_classes=4'):
        segmentation([drawn(np.zeros(SHAPE, int))], tmp_path, label_map=label_map)


def test_labels_in_colour(tmp_path):
    Image.fromarray(PALETTE[label_maps(0, ignored=0)[0]]).save(tmp_path / '000.png')
    with pytest.raises(ValueError, match=r'000\.png has 3 channels; labels are one channel'):
        segmentation([drawn(np.zeros(SHAPE, int))], tmp_path)


def test_only_ignored_pixels(tmp_path):
    write(tmp_path, np.full(SHAPE, 255))
    with pytest.raises(ValueError, match='no pixel of 1 label files in .* has a class'):
        segmentation([drawn(np.zeros(SHAPE, int))], tmp_path)


def test_a_segmentor_of_other_classes(tmp_path):
    write(tmp_path, np.zeros(SHAPE))
    with pytest.raises(ValueError, match=r'shape \(1, 4, 18, 22\) where .* \(1, 5, 18, 22\)'):
        segmentation([drawn(np.zeros(SHAPE, int))], tmp_path, num_classes=5)


def test_a_segmentor_of_another_size(tmp_path):
    MODELS.register_module(module=Pointwise, name='Pointwise', force=True)
    write(tmp_path, np.zeros(SHAPE))
    with pytest.raises(ValueError, match=r'shape \(1, 4, 9, 11\) where .* \(1, 4, 18, 22\)'):
        segmentation(
            [drawn(np.zeros(SHAPE, int))],
            tmp_path,
            dict(type='sesim_mmagic.Pointwise', num_classes=4),
        )
