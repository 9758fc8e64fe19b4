"""Scores of a segmentation of translations against the labels of their sources."""

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from PIL import Image
from sklearn.metrics import accuracy_score, balanced_accuracy_score, jaccard_score
from torch import nn

from sesim_mmagic.apis.launch import leave_job
from sesim_mmagic.datasets.shape_scenes import PALETTE
from sesim_mmagic.evaluation import PaletteSegmentor, SegmentationScores, TorchScriptSegmentor
from sesim_mmagic.evaluation.segmentors import IMAGENET_MEAN, IMAGENET_STD
from sesim_mmagic.registry import MODELS
from tests.test_evaluation.samples import SOURCE, TARGET, evaluate, sample

BY_PALETTE = dict(type='sesim_mmagic.PaletteSegmentor', palette=PALETTE.tolist())
SHAPE = (18, 22)


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


def test_a_perfect_translation(tmp_path):
    samples, *_ = samples_and_files(tmp_path / 'labels', right=1)
    scores = segmentation(samples, tmp_path / 'labels')
    assert scores == dict(pixel_accuracy=1, class_accuracy=1, miou=1, mAP=1)


def test_batches_do_not_matter(tmp_path):
    samples, *_ = samples_and_files(tmp_path)
    assert segmentation(samples, tmp_path, batch=1) == segmentation(samples, tmp_path, batch=5)


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
    """As the synthetic shapes writes them: numbers that viewers show as colours."""
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


def on_a_rank(rank, address, folder, queue):
    """Score the share of five pictures that DefaultSampler deals to one of two ranks."""
    dist.init_process_group('gloo', init_method=address, rank=rank, world_size=2)
    samples, *_ = samples_and_files(folder / str(rank))
    dealt = [samples[i % 5] for i in range(6)][rank::2]  # the first picture comes twice
    result = segmentation(dealt, folder / str(rank), batch=1, size=5)
    if rank == 0:
        queue.put(result)
    leave_job()


def test_two_ranks_count_every_picture_once(tmp_path):
    queue = mp.get_context('spawn').SimpleQueue()
    mp.spawn(on_a_rank, (f'file://{tmp_path}/rendezvous', tmp_path, queue), nprocs=2)
    samples, *_ = samples_and_files(tmp_path / 'labels')
    assert queue.get() == segmentation(samples, tmp_path / 'labels')


def test_confusion_of_many_pixels_is_counted_in_64_bits(tmp_path):
    write(tmp_path, np.zeros(SHAPE))
    metric = SegmentationScores(
        TARGET, SOURCE, label_folder=tmp_path, segmentor=BY_PALETTE, num_classes=4
    )
    confusion = metric.measure(drawn(np.zeros(SHAPE, int)))['confusion']
    assert confusion.dtype == np.int64 and confusion[0, 0] == confusion.sum() == 18 * 22


def test_palette_segmentor():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, (2, *SHAPE))
    noisy = np.clip(PALETTE[labels] + rng.normal(0, 10, (2, *SHAPE, 3)), 0, 255)
    pictures = torch.from_numpy(noisy).permute(0, 3, 1, 2).float()
    logits = PaletteSegmentor()(pictures)
    assert logits.shape == (2, 4, *SHAPE)
    np.testing.assert_array_equal(logits.argmax(dim=1), labels)


class Pointwise(nn.Module):
    """Logits of a linear layer, at half the size."""

    def __init__(self, num_classes=5):
        super().__init__()
        self.layer = nn.Conv2d(3, num_classes, 1)

    def forward(self, images):
        return self.layer(images)[:, :, ::2, ::2]


def saved(path, network):
    torch.jit.script(network).save(str(path))
    return str(path)


def random_pictures(height=12, width=16):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, height, width), generator=generator).float()


def test_torchscript_segmentor(tmp_path):
    network, pictures = Pointwise(), random_pictures()
    segmentor = TorchScriptSegmentor(saved(tmp_path / 'net.pt', network))
    mean, std = (torch.tensor(x)[:, None, None] for x in (IMAGENET_MEAN, IMAGENET_STD))
    with torch.no_grad():
        expected = nn.functional.interpolate(
            network((pictures - mean) / std), (12, 16), mode='bilinear', align_corners=False
        )
        torch.testing.assert_close(segmentor(pictures), expected)


def test_torchscript_segmentor_sees_pictures_of_its_size(tmp_path):
    class Size(nn.Module):
        def forward(self, images):
            height, width = images.shape[2], images.shape[3]
            extremes = torch.stack([images.min(), images.max()])
            sizes = torch.tensor([float(height), float(width)])
            return torch.cat([sizes, extremes])[None, :, None, None].expand(2, 4, height, width)

    segmentor = TorchScriptSegmentor(
        saved(tmp_path / 'net.pt', Size()), mean=(0, 0, 0), std=(1, 1, 1), size=(6, 20)
    )
    checks = torch.zeros(2, 3, 12, 16)
    checks[..., 5:9] = 255  # edges that bicubic weights overshoot
    logits = segmentor(checks)
    assert logits.shape == (2, 4, 12, 16)
    assert logits[0, :, 0, 0].tolist() == [6, 20, 0, 255]


def test_torchscript_in_the_metric(tmp_path):
    """A saved network that finds red, against labels of where red is; RGB, not BGR."""

    class Red(nn.Module):
        def forward(self, images):
            return torch.stack([images[:, 2], images[:, 0]], dim=1)

    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, SHAPE)
    write(tmp_path, truth)
    fake = np.array([[10, 60, 200], [200, 60, 10]], np.uint8)[truth]
    segmentor = dict(type='sesim_mmagic.TorchScriptSegmentor', path=saved(tmp_path / 'r.pt', Red()))
    scores = segmentation([sample(fake=fake)], tmp_path, segmentor, 2)
    assert scores['pixel_accuracy'] == 1


def test_no_segmentor_file():
    segmentor = TorchScriptSegmentor('nowhere.pt')
    with pytest.raises(FileNotFoundError, match=r"'nowhere\.pt' does not exist; save one with"):
        segmentor(random_pictures())


def test_a_file_that_is_no_torchscript(tmp_path):
    (tmp_path / 'net.pt').write_bytes(b'something else')
    torch.save(Pointwise().state_dict(), tmp_path / 'weights.pt')
    for name in ('net.pt', 'weights.pt'):
        with pytest.raises(ValueError, match=rf'{name}. is no TorchScript .*torch\.jit\.save'):
            TorchScriptSegmentor(str(tmp_path / name))(random_pictures())


def test_a_network_without_logits(tmp_path):
    class Labels(nn.Module):
        def forward(self, images):
            return images.argmax(dim=1)

    segmentor = TorchScriptSegmentor(saved(tmp_path / 'net.pt', Labels()))
    with pytest.raises(ValueError, match=r'tensor of logits \(B, C, H, W\), got \(2, 12, 16\)'):
        segmentor(random_pictures())


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
