"""A test whose folders differ in size, and whose pictures differ in size."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.runner import Runner

from tests.test_engine import tiny

LOSS = dict(
    type='sesim_mmagic.FSeSimLoss',
    layers=('relu2_2',),
    num_patches=-1,
    feature_net=dict(type='sesim_mmagic.VGG16Features', pretrained=None, seed=0, width=0.125),
)
METRIC = dict(
    type='sesim_mmagic.StructureDistance', source_domain='a', target_domain='b', loss=LOSS
)
GENERATOR = dict(
    type='ResnetGenerator', in_channels=3, out_channels=3, base_channels=4, num_blocks=1,
    norm_cfg=dict(type='IN'), use_dropout=False, padding_mode='reflect',
    init_cfg=dict(type='normal', gain=0.02),
)  # fmt: skip
CYCLEGAN = dict(
    _delete_=True,
    type='sesim_mmagic.SeSimCycleGAN',
    generator=GENERATOR,
    discriminator=dict(
        type='PatchDiscriminator', in_channels=3, base_channels=4, num_conv=2,
        norm_cfg=dict(type='IN'), init_cfg=dict(type='normal', gain=0.02),
    ),
    default_domain='b', reachable_domains=['a', 'b'], related_domains=['a', 'b'],
    data_preprocessor=dict(type='DataPreprocessor', data_keys=['img_a', 'img_b']),
)  # fmt: skip


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Pictures of several sizes, 3 in testA and 5 in testB."""
    root = tiny.write_pictures(tmp_path_factory.mktemp('uneven') / 'data')
    rng = np.random.default_rng(1)
    for side, count in dict(A=3, B=5).items():
        for i in range(count):
            shape = (24 + 8 * (i % 2), 32, 3)
            picture = rng.integers(0, 256, shape, dtype=np.uint8)
            cv2.imwrite(str(root / f'test{side}/{i}.png'), picture)
    return root


def run(data, folder, metrics, model=None, batch_size=1):
    """Test random weights; the scores, what the generators were given, and the folder."""
    folder.mkdir(exist_ok=True)
    path = tiny.write_config(folder / 'config.py', data)
    cfg = tiny.load_config(path, folder / 'work')
    if model is not None:
        cfg.merge_from_dict(dict(model=model))
    cfg.test_evaluator.metrics = metrics
    cfg.test_dataloader.batch_size = batch_size
    cfg.default_hooks.results = dict(type='sesim_mmagic.ResultsHook')
    runner = Runner.from_cfg(cfg)
    sizes = []
    for network in runner.model.inference_generators.values():
        network.register_forward_pre_hook(lambda _, args: sizes.append(tuple(args[0].shape)))
    return runner.test(), sizes, folder / 'work'


def pages(work):
    found = {str(p.parent.relative_to(work)): 0 for p in work.rglob('*.png')}
    return {f: len(list(Path(work, f).glob('*.png'))) for f in found}


@pytest.mark.parametrize('batch_size', [1, 2])
def test_each_source_is_translated_and_counted_once(data, tmp_path, batch_size):
    scores, sizes, work = run(data, tmp_path, [METRIC], batch_size=batch_size)
    assert sum(shape[0] for shape in sizes) == 3
    results = json.loads((work / 'results.json').read_text())
    assert results['tests'][0]['pictures'] == 3
    assert pages(work) == {'test/inputs/a': 3, 'test/translations/b': 3}

    even = tmp_path / 'even'
    shutil.copytree(data, even)
    for i in (3, 4):
        (even / f'testB/{i}.png').unlink()
    expected, _, _ = run(even, tmp_path / 'other', [METRIC])
    assert scores == pytest.approx(expected, rel=1e-6)


def test_both_directions(data, tmp_path):
    """Sources of the larger folder are all translated, those of the smaller one once."""
    back = {**METRIC, 'source_domain': 'b', 'target_domain': 'a', 'prefix': 'back'}
    scores, sizes, work = run(data, tmp_path, [METRIC, back], CYCLEGAN, batch_size=2)
    assert sum(shape[0] for shape in sizes) == 3 + 5
    assert set(scores) == {'structure/distance', 'back/distance'}
    assert pages(work)['test/translations/b'] == 3 and pages(work)['test/translations/a'] == 5
    assert json.loads((work / 'results.json').read_text())['tests'][0]['pictures'] == 5


def test_a_batch_of_several_sizes_is_translated_as_one_by_one(data, tmp_path):
    _, sizes, together = run(data, tmp_path / '3', [], batch_size=3)
    _, _, alone = run(data, tmp_path / '1', [], batch_size=1)
    assert sorted(sizes) == [(1, 3, 32, 32), (2, 3, 24, 32)]
    for i in range(3):
        first, second = (
            cv2.imread(str(w / f'test/translations/b/{i}.png')) for w in (together, alone)
        )
        assert first.shape == second.shape
        assert np.abs(first.astype(int) - second).max() <= 1
