"""Two launchers over loopback, as on two machines: training, scores, resume, and deaths."""

import json
import os
import socket
import subprocess
import sys
import time

import pytest
import torch
from mmengine.runner import Runner

from tests.test_engine import tiny
from tests.test_tools.test_scripts import TOOLS

pytestmark = [
    pytest.mark.skipif(torch.cuda.is_available(), reason='tests gloo on a machine without a GPU'),
    pytest.mark.slow,
]

SCORES = dict(
    type='mmengine.Evaluator',
    metrics=[dict(type='sesim_mmagic.PairedScores', target_domain='b', source_domain='a')],
)


@pytest.fixture
def write_config(tmp_path):
    """A function that writes a config of 4 iterations with what is to differ."""
    data = tiny.write_pictures(tmp_path / 'data', test=5)

    def write(**options):
        return tiny.write_config(
            tmp_path / 'config.py',
            data,
            custom_imports=dict(imports=['tests.test_tools.launched']),
            default_hooks__checkpoint__max_keep_ckpts=-1,
            **{'train_cfg__max_iters': 4, **options},
        )

    return write


class Machines:
    """Launchers of two machines, each in a folder of its own."""

    def __init__(self, folder, script, *argv, **environment):
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            port = str(probe.getsockname()[1])
        self._command = ['bash', str(TOOLS / script), *map(str, argv)]
        self._environment = dict(
            os.environ,
            PYTHON=sys.executable,
            PYTHONPATH=str(TOOLS.parent),
            OMP_NUM_THREADS='1',
            NNODES='2',
            PORT=port,
            **environment,
        )
        self._folder = folder
        self._launchers = {}
        for number in range(2):
            self.start(number)

    def start(self, number):
        folder = self._folder / f'machine{number}'
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / 'log').open('a') as log:
            self._launchers[number] = subprocess.Popen(
                self._command,
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**self._environment, 'NODE_RANK': str(number)},
            )

    def wait(self, *numbers, seconds=300):
        """Exit codes of the launchers; none is left after as many seconds."""
        end = time.monotonic() + seconds
        try:
            return [
                self._launchers[number].wait(max(end - time.monotonic(), 0)) for number in numbers
            ]
        finally:
            if sys.exc_info()[0]:
                for launcher in self._launchers.values():
                    launcher.kill()

    def log(self):
        return ''.join(path.read_text() for path in sorted(self._folder.glob('machine*/log')))


def score(config, folder, checkpoint):
    """What a single process says of a checkpoint."""
    return Runner.from_cfg(tiny.load_config(config, folder, load_from=str(checkpoint))).test()


def test_four_ranks_on_two_machines(write_config, tmp_path):
    loader = tiny.load_config(write_config(), tmp_path).test_dataloader
    loader.dataset.update(paired=True)
    config = write_config(
        test_dataloader=loader,
        val_dataloader=loader,
        val_cfg=dict(type='ValLoop'),
        val_evaluator=SCORES,
        test_evaluator=SCORES,
        train_cfg__val_interval=2,
        randomness__diff_rank_seed=True,
        # Else buckets are ordered anew after the first iteration of a process, and the sums of
        # more than two ranks round differently there.
        model_wrapper_cfg__find_unused_parameters=True,
        default_hooks__checkpoint__save_best='paired/ssim',
        default_hooks__results=dict(type='sesim_mmagic.ResultsHook'),
    )
    whole, broken = tmp_path / 'whole', tmp_path / 'broken'
    first = Machines(tmp_path / 'first', 'dist_train.sh', config, 2, '--work-dir', whole)
    assert first.wait(0, 1) == [0, 0], first.log()[-3000:]
    assert first.log().count('rank 0 writes results.json.') == 3  # twice validated, end
    assert not any(f'rank {rank} writes' in first.log() for rank in (1, 2, 3))

    checkpoint = tiny.load(whole / 'iter_4.pth')
    assert not any(
        '.module.' in key and not key.startswith('generator_ema')
        for key in checkpoint['state_dict']
    )
    buffers = [rank['b.images'] for rank in checkpoint['rank_buffers']]
    assert len(buffers) == 4 and not torch.equal(buffers[0], buffers[2])

    results = json.loads((whole / 'results.json').read_text())
    assert results['training']['ranks'] == 4
    assert results['validation']['pictures'] == 5
    for history, iteration in zip(results['validation']['history'], (2, 4), strict=True):
        alone = score(config, tmp_path / f'alone{iteration}', whole / f'iter_{iteration}.pth')
        assert history['metrics'] == pytest.approx(alone, rel=1e-9)
    best = results['best'][0]
    chosen = score(config, tmp_path / 'best', whole / best['checkpoint'])
    assert best['value'] == pytest.approx(chosen['paired/ssim'], rel=1e-9)

    broken.mkdir()
    os.link(whole / 'iter_2.pth', broken / 'iter_2.pth')
    (broken / 'last_checkpoint').write_text(str(broken / 'iter_2.pth'))
    options = ('--work-dir', broken, '--resume')
    second = Machines(tmp_path / 'second', 'dist_train.sh', config, 2, *options)
    assert second.wait(0, 1) == [0, 0], second.log()[-3000:]
    tiny.assert_same_state(tiny.load(broken / 'iter_4.pth'), checkpoint)

    options = (whole / 'iter_4.pth', 1, '--work-dir', whole)
    tested = Machines(tmp_path / 'tested', 'dist_test.sh', config, *options)
    assert tested.wait(0, 1) == [0, 0], tested.log()[-3000:]
    names = sorted(p.name for p in (whole / 'test/translations/b').iterdir())
    assert names == [f'{i}.png' for i in range(5)]
    assert '5 of 5 translations' in (whole / 'test/index.html').read_text()
    results = json.loads((whole / 'results.json').read_text())
    assert results['tests'][0]['metrics'] == pytest.approx(history['metrics'], rel=1e-9)


def test_a_killed_launcher_that_starts_again(write_config, tmp_path):
    note, work = tmp_path / 'note', tmp_path / 'work'
    config = write_config(
        custom_hooks=[dict(type='KillOnce', iteration=3, note=str(note), launcher=True)],
        log_level='INFO',
    )
    options = ('--work-dir', work, '--resume')
    job = Machines(tmp_path, 'dist_train.sh', config, 1, *options, MAX_RESTARTS='1')
    job.wait(1)
    before = (work / 'iter_2.pth').stat().st_mtime_ns
    job.start(1)
    assert job.wait(0, 1) == [0, 0], job.log()[-3000:]
    assert note.read_text() == 'killed'
    assert 'resumed epoch: 0, iter: 2' in job.log()
    assert (work / 'iter_2.pth').stat().st_mtime_ns == before
    assert tiny.load(work / 'iter_4.pth')['meta']['iter'] == 4


def test_a_killed_rank_ends_the_job(write_config, tmp_path):
    note, work = tmp_path / 'note', tmp_path / 'work'
    kill = dict(type='KillOnce', iteration=3, note=str(note), launcher=False)
    config = write_config(custom_hooks=[kill], train_cfg__max_iters=10**6)
    job = Machines(tmp_path, 'dist_train.sh', config, 1, '--work-dir', work)
    assert job.wait(0, 1) == [1, 1]
    assert time.time() - note.stat().st_mtime < 60
    assert (work / 'last_checkpoint').read_text() == str(work / 'iter_2.pth')
