"""Pictures are looked at before the work, all at once; others stand in for those that turn bad."""

import logging
import os
import shutil

import numpy as np
import pytest
from mmengine.config import ConfigDict
from mmengine.logging import MessageHub, MMLogger
from PIL import Image
from torch import distributed as dist
from torch import multiprocessing as mp
from torch.utils.data import DataLoader

from sesim_mmagic.datasets import checking
from sesim_mmagic.datasets.checking import MEMORY, BrokenPictures, find_broken, remember_in
from sesim_mmagic.datasets.config_checks import check_pictures, set_picture_options
from sesim_mmagic.datasets.picture_folder import CheckedPictures, settle_left_out
from sesim_mmagic.utils.images import UnusablePicture
from tests.test_datasets.test_unpaired_folders import build

SIDE = 12
FOLDERS = dict(trainA=6, trainB=4, valA=3, valB=3, testA=3, testB=2)
PIPELINE = [dict(type='sesim_mmagic.LoadPicture', key=key) for key in ('img_A', 'img_B')] + [
    dict(type='sesim_mmagic.PackDomains', A='a', B='b')
]


@pytest.fixture
def data(tmp_path):
    """Pictures of one value: 10 times the number of the folder, plus their own number."""
    for number, (folder, count) in enumerate(FOLDERS.items()):
        (tmp_path / 'data' / folder).mkdir(parents=True)
        for i in range(count):
            pixels = np.full((SIDE, SIDE, 3), 10 * number + i, np.uint8)
            Image.fromarray(pixels).save(tmp_path / 'data' / folder / f'{i}.png')
    return tmp_path / 'data'


@pytest.fixture
def log():
    """What is logged while a test runs."""
    records, handler = [], logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield records
    logger.removeHandler(handler)


@pytest.fixture(autouse=True)
def forgetful(monkeypatch):
    """What is remembered in this process does not reach other tests."""
    memory = checking._Memory()
    monkeypatch.setattr(checking, '_memory', memory)


def damage(path):
    """Cut a file; its header stays."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    return str(path)


def values(dataset, indices, domain='a'):
    return [int(dataset[i]['inputs'][f'img_{domain}'][0, 0, 0]) for i in indices]


def unpaired(data, **settings):
    dataset = build(data, PIPELINE, **settings)
    dataset.sample_seed = 3
    return dataset


def test_all_that_is_wrong_is_named_at_once(data):
    broken = [damage(data / 'trainA/2.png')]
    for name, content in (('trainA/5.png', b''), ('trainB/0.png', b'%!PS'), ('trainB/9.jpg', b'x')):
        (data / name).write_bytes(content)
        broken.append(str(data / name))
    (data / 'trainB/more').mkdir()
    Image.new('RGB', (40, 41)).save(data / 'trainB/more/large.png')
    broken.append(str(data / 'trainB/more/large.png'))
    with pytest.raises(BrokenPictures) as caught:
        unpaired(data, max_image_pixels=1600)
    assert list(caught.value.broken) == broken
    first, *lines = str(caught.value).splitlines()
    assert first.startswith('5 pictures cannot be used; ') and '--skip-broken' in first
    assert [line.split("'")[1] for line in lines] == broken
    assert 'truncated' in lines[0] and 'PostScript' in lines[2] and '1640 pixels' in lines[4]


def test_broken_pictures_can_be_left_out(data, log):
    damage(data / 'trainA/2.png')
    (data / 'trainB/1.png').write_bytes(b'')
    dataset = unpaired(data, skip_broken=True)
    assert dataset.left_out == ['trainA/2.png', 'trainB/1.png']
    assert len(dataset) == 5 and values(dataset, range(5)) == [0, 1, 3, 4, 5]
    (said,) = [text for text in log if 'left out' in text]
    assert '2 of 10 pictures' in said and 'trainA/2.png' in said and 'truncated' in said
    with pytest.raises(ValueError, match=r"trainB' holds no picture that can be used"):
        for path in (data / 'trainB').iterdir():
            path.write_bytes(b'')
        unpaired(data, skip_broken=True)


def test_held_out_pictures_are_the_same_for_both_splits(data):
    shutil.rmtree(data / 'valA')
    shutil.rmtree(data / 'valB')
    damage(data / 'trainA/2.png')
    settings = dict(skip_broken=True, held_out=2)
    train, val = (unpaired(data, split=split, **settings) for split in ('train', 'val'))
    names = [[info['path'] for info in dataset.data_infos_a] for dataset in (train, val)]
    assert sorted(names[0] + names[1]) == sorted(
        str(data / f'trainA/{i}.png') for i in (0, 1, 3, 4, 5)
    )


def test_pairs_are_left_out_together(data):
    (data / 'testB/2.png').write_bytes((data / 'testB/0.png').read_bytes())
    (data / 'testA/1.png').write_bytes(b'')
    dataset = unpaired(data, split='test', paired=True, skip_broken=True)
    assert dataset.left_out == ['testA/1.png', 'testB/1.png'] and len(dataset) == 2


def test_what_was_checked_is_remembered(data, tmp_path, monkeypatch):
    paths = [str(path) for path in sorted((data / 'trainA').iterdir())]
    remember_in(tmp_path / 'work')
    assert find_broken(paths) == {}
    assert [path.name for path in (tmp_path / 'work').iterdir()] == [MEMORY]
    # Damaged behind its back: the same size and time.
    status = os.stat(paths[0])
    (data / 'trainA/0.png').write_bytes(bytes(status.st_size))
    os.utime(paths[0], ns=(status.st_atime_ns, status.st_mtime_ns))
    for content in (None, '[1, 2', '{"a": 3}'):
        monkeypatch.setattr(checking, '_memory', checking._Memory())
        if content:
            (tmp_path / 'work' / MEMORY).write_text(content)
        remember_in(tmp_path / 'work')
        assert list(find_broken(paths)) == ([] if content is None else [paths[0]])
    # Bad files are looked at anew, and so is what changed.
    os.utime(paths[1])
    Image.new('RGB', (3, 3)).save(paths[0])
    assert find_broken(paths) == {}
    assert find_broken(paths, max_pixels=100) == dict.fromkeys(
        paths[1:], find_broken(paths, 100)[paths[1]]
    )


def test_a_lower_limit_of_pixels_counts_for_pictures_that_were_good(data, monkeypatch):
    monkeypatch.setattr(checking, 'MOST_DECODED', 0)  # decoding would find them too
    paths = [str(data / 'trainA/0.png'), str(data / 'trainA/1.png')]
    assert not find_broken(paths)
    broken = find_broken(paths, max_pixels=SIDE**2 - 1)
    assert list(broken) == paths and 'max_image_pixels is 143' in broken[paths[0]]


def test_many_pictures_are_not_decoded_but_their_headers_read(data, log, monkeypatch):
    monkeypatch.setattr(checking, 'MOST_DECODED', 5)
    paths = [str(path) for path in sorted((data / 'trainA').iterdir())]
    damage(data / 'trainA/1.png')
    (data / 'trainA/3.png').write_bytes(b'')
    assert list(find_broken(paths)) == [paths[3]]
    assert any('of 5 the header alone' in text for text in log)
    assert list(find_broken(paths[:5])) == [paths[1], paths[3]]


def test_pictures_elsewhere_are_not_looked_at():
    assert find_broken(['http://127.0.0.1:9/1.png', 'https://127.0.0.1:9/2.png']) == {}


def test_a_test_goes_on_without_a_picture_that_turns_bad_if_it_may(data):
    for skip_broken in (True, False):
        dataset = unpaired(data, split='test', skip_broken=skip_broken)
        damage(data / 'testA/0.png')
        if not skip_broken:
            continue
        sample = dataset[0]['data_samples']
        assert sample.img_a_path.endswith('testA/1.png') and sample.img_a_repeated
        assert not dataset[1]['data_samples'].img_a_repeated
        (data / 'testA/0.png').write_bytes((data / 'testA/1.png').read_bytes())
    with pytest.raises(UnusablePicture, match=r'testA/0\.png'):
        dataset[0]


def test_the_next_picture_stands_in_whichever_worker_meets_it(data, log):
    expected = None
    for workers in (0, 2):
        dataset = unpaired(data)
        contents = {name: (data / name).read_bytes() for name in ('trainA/2.png', 'trainA/3.png')}
        damage(data / 'trainA/2.png')
        (data / 'trainA/3.png').unlink()
        loader = DataLoader(dataset, None, num_workers=workers, sampler=range(3 * len(dataset)))
        seen = [[int(sample['inputs'][f'img_{d}'][0, 0, 0]) for d in 'ab'] for sample in loader]
        assert [a for a, _ in seen] == [0, 1, 4, 4, 4, 5] * 3
        assert expected in (None, seen)  # partners are drawn as if nothing had happened
        expected = seen
        # What workers found out is known to all.
        assert values(dataset, [2, 3]) == [4, 4]
        for name, content in contents.items():
            (data / name).write_bytes(content)
    assert [b for _, b in expected] == [values(unpaired(data), [i], 'b')[0] for i in range(18)]
    (first,) = [text for text in log if "2.png' can no longer be used" in text]
    assert "3.png' stands in" in first or "4.png' stands in" in first


def test_a_validation_goes_on_and_a_test_does_not(data):
    for settings in (dict(paired=True), {}):
        val = unpaired(data, split='val', **settings)
        content = (data / 'valB/1.png').read_bytes()
        (data / 'valB/1.png').write_bytes(b'')
        assert values(val, range(3), 'b') == [30, 32, 32]
        assert values(val, range(3)) == ([20, 22, 22] if settings else [20, 21, 22])
        repeated = [val.get_data_info(i)['img_B_repeated'] for i in range(3)]
        assert repeated == [False, True, False]
        assert val.get_data_info(1)['img_A_repeated'] == bool(settings)
        (data / 'valB/1.png').write_bytes(content)
    test = unpaired(data, split='test')
    (data / 'testA/1.png').write_bytes(b'')
    with pytest.raises(ValueError, match=r'testA/1\.png'):
        test[1]


def test_a_folder_that_is_gone_ends_the_training(data):
    dataset = unpaired(data)
    shutil.rmtree(data / 'trainB')
    with pytest.raises(RuntimeError, match='4 pictures in a row cannot be read any more.*resume'):
        dataset[0]


def test_the_list_of_the_checkpoint_wins(data, log, hub):
    damage(data / 'trainA/2.png')
    dataset = unpaired(data, skip_broken=True)
    before = values(dataset, range(20)), values(dataset, range(20), 'b')
    assert settle_left_out(hub, [dataset], resumed=False) is False
    assert hub.get_info('left_out_pictures') == ['trainA/2.png']
    # Repaired meanwhile, and another one broke.
    Image.new('RGB', (SIDE, SIDE)).save(data / 'trainA/2.png')
    damage(data / 'trainA/4.png')
    dataset = unpaired(data, skip_broken=True)
    assert dataset.left_out == ['trainA/4.png']
    assert settle_left_out(hub, [dataset, object()], resumed=True) is True
    assert dataset.left_out == ['trainA/2.png'] and len(dataset) == 5
    expected = [5 if value == 4 else value for value in before[0]]
    assert (values(dataset, range(20)), values(dataset, range(20), 'b')) == (expected, before[1])
    said = [text for text in log if text.startswith('picture ')]
    assert "'trainA/2.png' can be used now; this training goes on without it" in said[0]
    assert "'trainA/4.png' cannot be used now; others stand in for it" in said[1]


class Listed(CheckedPictures):
    """Nothing but the list of what is left out."""

    def __init__(self, left_out):
        self.names = left_out

    @property
    def left_out(self):
        return self.names

    def leave_out(self, left_out):
        self.names = list(left_out)


def on_a_rank(rank, address, queue):
    dist.init_process_group('gloo', init_method=address, rank=rank, world_size=2)
    dataset = Listed(['trainA/1.png'] if rank == 0 else [])
    settle_left_out(MessageHub.get_instance(f'rank{rank}'), [dataset], resumed=False)
    queue.put((rank, dataset.left_out))


def test_all_ranks_leave_out_what_the_first_does(tmp_path):
    queue = mp.get_context('fork').SimpleQueue()
    address = f'file://{tmp_path}/rendezvous'
    mp.start_processes(on_a_rank, (address, queue), nprocs=2, start_method='fork')
    assert dict(queue.get() for _ in range(2)) == {0: ['trainA/1.png'], 1: ['trainA/1.png']}


def config(data, **dataset):
    loader = dict(dataset=dict(type='sesim_mmagic.UnpairedFolderDataset', data_root=str(data)))
    splits = {
        f'{split}_dataloader': dict(
            dataset=dict(loader['dataset'], split=split, pipeline=PIPELINE, **dataset)
        )
        for split in ('train', 'val', 'test')
    }
    metric = dict(
        type='sesim_mmagic.DistributionScores', target_domain='b', real_folder=str(data / 'real')
    )
    return ConfigDict(
        **splits,
        val_cfg=dict(),
        test_cfg=dict(),
        val_evaluator=[dict(type='sesim_mmagic.PairedScores', target_domain='b')],
        test_evaluator=dict(type='mmengine.Evaluator', metrics=[metric]),
    )


def test_the_pictures_of_a_config_are_checked_at_once(data, tmp_path):
    shutil.copytree(data / 'testB', data / 'real')
    broken = [
        damage(data / name) for name in ('trainA/1.png', 'valB/0.png', 'testA/2.png', 'real/1.png')
    ]
    cfg = config(data)
    cfg.work_dir = str(tmp_path / 'work')
    with pytest.raises(BrokenPictures) as caught:
        check_pictures(cfg)
    assert list(caught.value.broken) == broken
    with pytest.raises(BrokenPictures) as caught:
        check_pictures(cfg, ['test'])
    assert list(caught.value.broken) == broken[2:]
    set_picture_options(cfg, skip_broken=True, max_image_pixels=SIDE**2)
    check_pictures(cfg)
    assert (tmp_path / 'work' / MEMORY).is_file()
    assert cfg.test_evaluator.metrics[0].skip_broken and cfg.val_dataloader.dataset.skip_broken
    assert 'skip_broken' not in cfg.val_evaluator[0]
    cfg.val_dataloader = [cfg.val_dataloader]  # of MMagic's loop over several data sets
    check_pictures(cfg)
    set_picture_options(cfg, max_image_pixels=SIDE**2 - 1)
    with pytest.raises(ValueError, match='holds no picture that can be used'):
        check_pictures(cfg)


def test_folders_of_the_test_need_not_be_there_to_train(data):
    shutil.rmtree(data / 'testA')
    cfg = config(data)
    check_pictures(cfg)
    with pytest.raises(FileNotFoundError, match='testA'):
        check_pictures(cfg, ['test'])
    shutil.rmtree(data / 'valA')
    with pytest.raises(FileNotFoundError, match='valA'):
        check_pictures(cfg)


def test_options_that_nothing_takes_are_refused(data):
    foreign = dict(dataset=dict(type='BasicImageDataset', data_root=str(data)))
    cfg = ConfigDict(train_dataloader=foreign)
    for settings in (dict(skip_broken=True), dict(max_image_pixels=9)):
        with pytest.raises(ValueError, match='no data set of this config takes'):
            set_picture_options(cfg, **settings)
    set_picture_options(cfg)


def test_pairs_side_by_side(data):
    for split in ('train', 'test'):
        (data / split).mkdir()
        for i in range(4):
            pixels = np.full((SIDE, 2 * SIDE, 3), 10 * i, np.uint8)
            pixels[:, SIDE:] += 5
            Image.fromarray(pixels).save(data / split / f'{i}.png')
    pipeline = [dict(type='sesim_mmagic.LoadPicturePair'), PIPELINE[-1]]
    kind = 'sesim_mmagic.PairedFolderDataset'

    def make(**settings):
        return build(data, pipeline, kind, **settings)

    damage(data / 'train/1.png')
    with pytest.raises(BrokenPictures):
        make()
    dataset = make(skip_broken=True)
    assert values(dataset, range(3)) == [0, 20, 30]
    assert values(dataset, range(3), 'b') == [5, 25, 35]
    (data / 'train/2.png').write_bytes(b'')
    assert values(dataset, range(3)) == [0, 30, 30]
    test = make(split='test')
    Image.new('RGB', (SIDE + 1, SIDE)).save(data / 'test/0.png')
    with pytest.raises(ValueError, match=r'0\.png.*its width, 13, has no half'):
        test[0]
    with pytest.raises(FileNotFoundError, match=r"val' does not exist; pictures side by side"):
        make(split='val')
    with pytest.raises(ValueError, match='split must be one of'):
        make(split='all')
