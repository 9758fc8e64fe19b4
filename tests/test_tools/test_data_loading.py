"""The benchmark of data loading measures the pipelines it says it measures."""

import importlib.util
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

SCRIPT = Path(__file__).resolve().parents[2] / 'tools/benchmark/data_loading.py'
CONFIG = """
default_scope = 'mmagic'
load = [dict(type='sesim_mmagic.LoadPicture', key=key) for key in ('img_A', 'img_B')]
pack = dict(type='sesim_mmagic.PackDomains', A='a', B='b')
view = dict(type='sesim_mmagic.AppearanceView', keys=['img_B'], blur=1)
train_dataloader = dict(
    dataset=dict(
        type='sesim_mmagic.UnpairedFolderDataset',
        data_root='@DATA@',
        pipeline=[*load, @STEPS@, dict(type='sesim_mmagic.PackingSpy')]))
"""


@TRANSFORMS.register_module()
class PackingSpy(BaseTransform):
    """Notes what each sample was packed with, and by how many threads."""

    views, threads = [], set()

    def transform(self, results):
        self.views.append([key for key in results['inputs'] if key.endswith('_aug')])
        self.threads.add((torch.get_num_threads(), cv2.getNumThreads()))
        return results


@pytest.fixture
def measure(tmp_path):
    """Runs the script in this process, on three pictures a folder."""
    for number, folder in enumerate(('trainA', 'trainB')):
        (tmp_path / folder).mkdir()
        for i in range(3):
            pixels = np.random.default_rng(10 * number + i).integers(0, 256, (32, 32, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / folder / f'{i}.png')
    spec = importlib.util.spec_from_file_location('data_loading', SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    def run(steps, *argv):
        config = tmp_path / 'config.py'
        config.write_text(CONFIG.replace('@DATA@', str(tmp_path)).replace('@STEPS@', steps))
        script.main([str(config), '--seconds', '0.2', *map(str, argv)])

    PackingSpy.views.clear()
    PackingSpy.threads.clear()
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(2)
    cv2.setNumThreads(2)
    yield run
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])
    DefaultScope._instance_dict.clear()


@pytest.mark.parametrize(
    ('steps', 'views'),
    [('pack', ['img_a_aug', 'img_b_aug']), ('view, pack', ['img_b_aug'])],
    ids=['inserts a view', 'keeps the view of the config'],
)
def test_both_variants_are_measured_in_turn(measure, tmp_path, capsys, steps, views):
    measure(steps, '--out', tmp_path / 'result.json')
    seen = PackingSpy.views
    assert all(packed in ([], views) for packed in seen)
    assert sum(a != b for a, b in zip(seen, seen[1:], strict=False)) >= 10, 'blocks alternate'
    assert PackingSpy.threads == {(1, 1)}

    result = json.loads((tmp_path / 'result.json').read_text())
    assert (result['pictures_per_sample'], result['views_per_sample']) == (2, len(views))
    plain, viewed = result['variants']
    assert (plain['variant'], viewed['variant']) == ('without', 'with')
    for row in result['variants']:
        low, high = row['samples_per_second_range']
        assert 0 < low <= row['samples_per_second'] <= high
        assert row['pictures_per_second'] == pytest.approx(2 * row['samples_per_second'])
    assert viewed['samples_per_second'] < plain['samples_per_second'], 'a view costs time'
    header, *rows, _, cost = capsys.readouterr().out.splitlines()[-5:]
    assert header.split() == ['views', 'samples/s', '(range)', 'pictures/s', '(range)']
    for line, row in zip(rows, result['variants'], strict=True):
        assert line.split()[:2] == [row['variant'], f'{row["samples_per_second"]:.1f}']
    assert cost.startswith(f'a view takes {result["milliseconds_per_view"]:.1f} ms')


def test_resizers_are_measured_side_by_side(measure, tmp_path, capsys):
    resize = "dict(type='Resize', keys=['img_A'], scale=(300, 300), interpolation='bicubic')"
    measure(f'{resize}, pack', '--resize', '--out', tmp_path / 'result.json')
    result = json.loads((tmp_path / 'result.json').read_text())
    assert [row['variant'] for row in result['variants']] == ['cv2', 'pillow']
    assert PackingSpy.views and not any(PackingSpy.views)
    low, high = result['time_ratio_range']
    assert 0 < low <= result['time_ratio'] <= high
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f'the second takes {result["time_ratio"]:.2f} times as long (')
    assert 'has no Resize to compare' in refusal(capsys, measure, 'pack', '--resize')


def refusal(capsys, measure, *argv):
    with pytest.raises(SystemExit) as error:
        measure(*argv)
    assert error.value.code == 2
    return capsys.readouterr().err.replace('\n', ' ')


def test_options_reach_the_config(measure, tmp_path, capsys):
    option = f'train_dataloader.dataset.data_root={tmp_path}/none'
    assert "none' is no folder" in refusal(capsys, measure, 'pack', '--cfg-options', option)


def test_a_pipeline_that_packs_no_views_is_refused(measure, capsys):
    message = refusal(capsys, measure, "dict(type='PackInputs', keys=['img_A'])")
    assert 'has no PackDomains, which packs the views; put' in message


def test_no_time_is_refused(measure, capsys):
    assert '--seconds must be positive' in refusal(capsys, measure, 'pack', '--seconds', '0')
