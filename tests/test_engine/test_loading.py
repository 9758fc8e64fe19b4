"""MMEngine's runner reads checkpoints with the reader of this package."""

import subprocess

import pytest
import torch
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader

from tests.test_engine import tiny


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A config and a checkpoint."""
    folder = tmp_path_factory.mktemp('loading')
    config = tiny.write_config(folder / 'config.py', tiny.write_pictures(folder / 'data'))
    tiny.train(config, folder / 'work', train_cfg__max_iters=2)
    return config, folder / 'work' / 'iter_2.pth'


def flipped(path, name, source):
    """A copy with one bit of a weight flipped: torch itself loads it."""
    weight = tiny.load(source)['state_dict'][name]
    content = bytearray(source.read_bytes())
    place = content.find(weight.numpy().tobytes())
    assert place > 0
    content[place + 3] ^= 1
    path.write_bytes(content)
    assert not torch.equal(tiny.load(path)['state_dict'][name], weight)


def damaged(folder, trained):
    """Checkpoints that MMEngine would load, and what is said of each."""
    content = tiny.load(trained[1])
    name = 'generators.b.model.1.weight'
    flipped(folder / 'flipped.pth', name, trained[1])
    for file, value in (
        ('nan', torch.full_like(content['state_dict'][name], float('nan'))),
        ('text', 'a weight'),
    ):
        weights = {**content['state_dict'], name: value}
        torch.save({**content, 'state_dict': weights}, folder / f'{file}.pth')
    return {'flipped': 'another checksum', 'nan': 'not finite', 'text': f"'{name}' is a str"}


def test_what_is_damaged_is_neither_tested_nor_resumed_nor_loaded(trained, tmp_path):
    config = trained[0]
    for name, message in damaged(tmp_path, trained).items():
        path = str(tmp_path / f'{name}.pth')
        cfg = tiny.load_config(config, tmp_path / 'test', load_from=path)
        with pytest.raises(ValueError, match=message):
            Runner.from_cfg(cfg).test()
        for resume in (True, False):
            with pytest.raises(ValueError, match=message) as error:
                tiny.train(config, tmp_path / 'train', load_from=path, resume=resume)
            assert path in str(error.value) and '\n' not in str(error.value)


def test_a_resume_runs_no_config_of_the_checkpoint(trained, tmp_path):
    """``Runner.resume`` runs ``meta['config']``, which old versions of MMEngine wrote."""
    content, mark = tiny.load(trained[1]), tmp_path / 'mark'
    content['meta']['config'] = f'open({str(mark)!r}, "w")'
    torch.save(content, tmp_path / 'old.pth')
    tiny.train(
        trained[0], tmp_path / 'work', train_cfg__max_iters=3,
        load_from=str(tmp_path / 'old.pth'), resume=True,
    )  # fmt: skip
    assert not mark.exists()


def test_addresses_are_read_alike(trained, tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    damaged(tmp_path, trained)
    content = CheckpointLoader.load_checkpoint(trained[1].as_uri())
    assert content.keys() == tiny.load(trained[1]).keys()
    with pytest.raises(ValueError, match='another checksum.*not kept'):
        CheckpointLoader.load_checkpoint((tmp_path / 'flipped.pth').as_uri())
    assert len(list((tmp_path / 'torch/hub/checkpoints').iterdir())) == 1


def test_it_holds_wherever_the_package_is_imported(python, trained, tmp_path):
    """``mim`` and MMagic's own tools import it by the config's ``custom_imports``."""
    flipped(tmp_path / 'flipped.pth', 'generators.b.model.1.weight', trained[1])
    script = f"""
from mmengine.runner.checkpoint import _load_checkpoint
import sesim_mmagic
try:
    _load_checkpoint({str(tmp_path / 'flipped.pth')!r})
except ValueError as error:
    print(error)
"""
    run = subprocess.run(
        [python, '-W', 'ignore', '-c', script], capture_output=True, text=True, timeout=120
    )
    assert 'another checksum' in run.stdout, run.stderr
