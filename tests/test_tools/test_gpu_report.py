"""The report on a GPU: what it measures is the training step, and a failure costs a row."""

import json
import os
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from sesim_mmagic.networks.recomputing import RecomputedSequential

ROOT = Path(__file__).resolve().parents[2]
BENCHMARK = str(ROOT / 'tools/benchmark')


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARK)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')


def narrow(cfg):
    """A config with the networks that the report tries itself with."""
    model = cfg.model
    if model.generator.type == 'ResnetGenerator':  # of MMagic, which the plain loop does without
        model.generator = dict(type='sesim_mmagic.ResNetBlurGenerator')
        model.discriminator = dict(type='sesim_mmagic.BlurPatchGAN')
    model.generator.base_channels = model.discriminator.base_channels = 4
    if 'size' in model.discriminator:
        model.discriminator.size = 64
    loss = model.get('structure_loss')
    if loss and loss.type == 'sesim_mmagic.PatchNCELoss':
        loss.channels = (3, 8, 16, 16, 16)
    elif loss:
        loss.feature_net.width = 0.125
    return cfg


def test_the_plain_loop_does_the_work_of_the_translators():
    import gpu_parts
    from ours import OurStep
    from plain import PlainStep

    from sesim_mmagic.apis.config_files import read_config

    args = gpu_parts.argparse.Namespace(device='cpu', reference=None)
    for name, path in gpu_parts.CONFIGS.items():
        config = str(ROOT / 'configs' / path)
        spec = gpu_parts.specification(args, config=config, precision='fp32')
        counts = PlainStep(spec).counts()
        assert counts == OurStep({**spec, 'cfg': narrow(read_config(config))}).counts(), name
        assert counts['generators backward'] >= counts['generators forward'] > 0, name


def test_every_part_that_needs_no_gpu_runs_on_the_cpu(monkeypatch, tmp_path, capsys):
    import gpu_parts
    import gpu_report

    chosen = {name: gpu_parts.CONFIGS[name] for name in ('FSeSim', 'LSeSim')}
    monkeypatch.setattr(gpu_parts, 'CONFIGS', chosen)

    def here(seconds, function, *given):
        """In this process: another one takes longer to start than all of them to be measured."""
        try:
            return function(*given)
        except TypeError as error:  # of a setting that networks do not know
            raise RuntimeError(str(error)) from None

    monkeypatch.setattr(gpu_report, 'in_time', here)
    out = tmp_path / 'report.md'
    gpu_report.main(['--device', 'cpu', '--minutes', '30', '--out', str(out)])
    page = out.read_text()
    assert capsys.readouterr().out.strip() == page.strip()
    assert page.count('it needs a GPU') == 3 and 'numbers that mean nothing' in page
    lines = [line.split(' | ') for line in page.splitlines()]
    for name in gpu_parts.CONFIGS:
        rows = [line for line in lines if line[0] == f'| {name}' and 'float32 (TF32)' in line]
        assert len(rows) == 1 and float(rows[0][4]) > 0 and int(rows[0][7].strip(' |')) > 100, name
    for form in ('ours', 'loop over windows'):
        assert sum(line[1] == form for line in lines if len(line) > 1) == 3


def test_a_failure_costs_a_row(tmp_path):
    import gpu_report
    from gpu_parts import Job

    report = gpu_report.Report(tmp_path / 'report.md', ['# Report'])
    jobs = [
        Job({'row': 'good'}, json.loads, ('[{"ms": 2.5}, {"ms": 3.5}]',)),
        Job({'row': 'broken'}, json.loads, ('nonsense',)),
        Job({'row': 'dead'}, os._exit, (3,)),
        Job({'row': 'late'}, time.sleep, (600,), 0.5),
        Job({'row': 'last'}, json.loads, ('[{"ms": 4.5}]',)),
    ]
    gpu_report.run(report, 'Part', jobs, time.monotonic() + 300)
    gpu_report.run(report, 'Late part', jobs[:1], time.monotonic())
    assert (tmp_path / 'report.md').read_text().splitlines()[4:12] == [
        '| row | ms | not measured |',
        '| --- | --- | --- |',
        '| good | 2.5 | - |',
        '| good | 3.5 | - |',
        '| broken | - | JSONDecodeError: Expecting value: line 1 column 1 (char 0) |',
        '| dead | - | its process died (exit code 3) |',
        '| late | - | 0 s were not enough |',
        '| last | 4.5 | - |',
    ]
    assert '| good | no time was left |' in (tmp_path / 'report.md').read_text()


def test_memory_is_measured_with_and_without_checkpointing():
    import gpu_parts

    args = gpu_parts.argparse.Namespace(device='cpu', reference=None)
    found = []
    for job in gpu_parts.memory(args, 60, {}):
        kind, spec = job.arguments
        parts = kind(spec).generators.modules()
        is_replayed = any(isinstance(part, RecomputedSequential) for part in parts)
        found.append((job.row['checkpointing'], is_replayed))
    assert found == [('no', False), ('yes', True)] * 2


def test_what_a_part_leaves_over_goes_to_the_next(monkeypatch, tmp_path):
    import gpu_parts
    import gpu_report

    given = {}

    def lacking(name, args, seconds, done):
        given[name] = seconds
        raise gpu_parts.Lacking('nothing')

    jobs = {name: partial(lacking, name) for name in gpu_report.SHARES}
    monkeypatch.setattr(gpu_parts, 'JOBS', jobs)
    argv = ['--device', 'cpu', '--minutes', '10', '--parts', 'steps', 'loss']
    gpu_report.main([*argv, '--out', str(tmp_path / 'report.md')])
    shares = gpu_report.SHARES
    first = 600 * shares['steps'] / (shares['steps'] + shares['loss'])
    assert given == pytest.approx(dict(steps=first, loss=600), abs=5)


def test_the_trainings_config_is_there(tmp_path):
    import gpu_parts
    from trainings import Training, load_config

    settings = {'train_dataloader.num_workers': 4}
    path = str(gpu_parts.TRAINING)
    cfg = load_config(Training('x', path, str(tmp_path), 'drawings', 7, 0, settings, amp=True))
    assert cfg.train_cfg.max_iters == 7 and cfg.train_dataloader.num_workers == 4
    assert cfg.train_dataloader.dataset.data_root == 'drawings'


@pytest.mark.parametrize(
    ('argv', 'message'),
    [
        ([], 'PyTorch finds no GPU; --device cpu tries the report'),
        (['--minutes', '0'], '--minutes must be positive'),
        (['--reference', 'configs'], "'configs' holds no models/sc_model.py"),
    ],
)
def test_what_cannot_run_is_refused(monkeypatch, tmp_path, capsys, argv, message):
    import gpu_report

    monkeypatch.setattr(sys, 'argv', ['gpu_report.py'])
    with pytest.raises(SystemExit) as error:
        gpu_report.main(['--out', str(tmp_path / 'report.md'), *argv])
    assert error.value.code == 2 and message in capsys.readouterr().err
