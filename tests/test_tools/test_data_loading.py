"""The benchmark of data loading measures the pipelines it says it measures."""

import importlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmengine.registry import DefaultScope
from PIL import Image

from sesim_mmagic.registry import TRANSFORMS

CONFIG = """
default_scope = 'mmagic'
load = [dict(type='sesim_mmagic.LoadPicture', key=key) for key in ('img_A', 'img_B')]
resize = dict(type='Resize', keys=['img_A'], scale=(@SIDE@, @SIDE@))
pack = dict(type='sesim_mmagic.PackDomains', A='a', B='b')
train_dataloader = dict(
    dataset=dict(
        type='sesim_mmagic.UnpairedFolderDataset',
        data_root='@DATA@',
        pipeline=[*load, resize, pack, dict(type='sesim_mmagic.PackingSpy')]))
"""


@TRANSFORMS.register_module()
class PackingSpy(BaseTransform):
    """Notes the width of each sample, and how many threads made it."""

    widths, threads = [], set()

    def transform(self, results):
        self.widths.append(results['inputs']['img_a'].shape[-1])
        self.threads.add((torch.get_num_threads(), cv2.getNumThreads()))
        return results


@pytest.fixture
def measure(tmp_path, monkeypatch):
    """Calls the tool in this process, with configs that resize to some sides."""
    for number, folder in enumerate(('trainA', 'trainB')):
        (tmp_path / folder).mkdir()
        for i in range(3):
            pixels = np.random.default_rng(10 * number + i).integers(0, 256, (32, 32, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / folder / f'{i}.png')
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / 'tools/benchmark'))
    tool = importlib.import_module('data_loading')

    def run(sides, *argv):
        paths = [tmp_path / f'side{side}.py' for side in sides]
        for side, path in zip(sides, paths, strict=True):
            text = CONFIG.replace('@DATA@', str(tmp_path)).replace('@SIDE@', str(side))
            path.write_text(text)
        tool.main([*map(str, paths), '--seconds', '0.2', *map(str, argv)])

    PackingSpy.widths.clear()
    PackingSpy.threads.clear()
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(2)
    cv2.setNumThreads(2)
    yield run
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])
    DefaultScope._instance_dict.clear()


def test_configs_take_turns(measure, tmp_path, capsys):
    measure([16, 700], '--out', tmp_path / 'result.json')
    seen = PackingSpy.widths
    assert sum(a != b for a, b in zip(seen, seen[1:], strict=False)) >= 10, 'blocks alternate'
    assert PackingSpy.threads == {(1, 1)}
    small, large = json.loads((tmp_path / 'result.json').read_text())
    assert (small['pipeline'], large['pipeline']) == ('side16', 'side700')
    assert set(small['time of the first']) == {1} and np.median(large['time of the first']) > 1
    assert np.median(small['samples/s']) > np.median(large['samples/s']) > 0
    lines = capsys.readouterr().out.splitlines()[-4:]
    assert lines[0] == '| pipeline | samples/s | time of the first |'
    assert lines[2].startswith('| side16 | ') and lines[2].endswith(' | 1 (1 to 1) |')


def test_resizers_are_measured_side_by_side(measure, tmp_path, capsys):
    measure([16], '--resize', '--out', tmp_path / 'result.json')
    names = [row['pipeline'] for row in json.loads((tmp_path / 'result.json').read_text())]
    assert names == ['side16, cv2', 'side16, pillow']


@pytest.mark.parametrize(
    ('argv', 'message'),
    [
        (['--cfg-options', 'train_dataloader.dataset.data_root=none'], "'none' is no"),
        (['--resize', '--cfg-options', 'train_dataloader.dataset.pipeline=[]'], 'has no Resize'),
        (['--seconds', '0'], '--seconds must be positive'),
    ],
)
def test_what_cannot_be_measured_is_refused(measure, capsys, argv, message):
    with pytest.raises(SystemExit) as error:
        measure([16], *argv)
    assert error.value.code == 2
    assert message in capsys.readouterr().err.replace('\n', ' ').replace('is not a', 'is no')
