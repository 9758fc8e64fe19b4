"""The shell scripts: arguments, and two ranks over gloo."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.test_engine import tiny

TOOLS = Path(__file__).parents[2] / 'tools'


def run(script, *argv, **environment):
    return subprocess.run(
        ['bash', str(TOOLS / script), *map(str, argv)],
        capture_output=True,
        text=True,
        env=dict(os.environ, PYTHON=sys.executable, **environment),
        check=False,
    )


@pytest.mark.parametrize(
    ('script', 'argv', 'usage'),
    [
        ('dist_train.sh', ['config.py'], 'CONFIG RANKS_PER_NODE'),
        ('dist_test.sh', ['config.py', 'checkpoint.pth'], 'CONFIG CHECKPOINT RANKS_PER_NODE'),
        (
            'slurm_train.sh',
            ['partition', 'name', 'config.py'],
            'PARTITION JOB_NAME CONFIG WORK_DIR',
        ),
    ],
)
def test_missing_arguments_show_the_usage(script, argv, usage):
    result = run(script, *argv)
    assert result.returncode == 2
    assert f'{script} {usage}' in result.stderr


def test_launcher_takes_its_settings_from_the_environment(tmp_path):
    fake = tmp_path / 'python'
    fake.write_text('#!/bin/sh\necho "$@"\n')
    fake.chmod(0o755)
    result = subprocess.run(
        ['bash', str(TOOLS / 'dist_train.sh'), 'my config.py', '4', '--amp'],
        text=True,
        capture_output=True,
        check=True,
        env=dict(
            os.environ, PYTHON=str(fake), NNODES='2', NODE_RANK='1', MASTER_ADDR='node0', PORT='123'
        ),
    )
    for expected in (
        '-m torch.distributed.run',
        '--nnodes=2',
        '--node_rank=1',
        '--master_addr=node0',
        '--master_port=123',
        '--nproc_per_node=4',
        'train.py my config.py --launcher pytorch --amp',
    ):
        assert expected in result.stdout


def test_slurm_job(tmp_path):
    fake = tmp_path / 'srun'
    fake.write_text('#!/bin/sh\necho "$MASTER_PORT $@"\n')
    fake.chmod(0o755)
    result = run(
        'slurm_train.sh',
        'gpu',
        'job',
        'config.py',
        'out dir',
        '--resume',
        GPUS='16',
        SRUN_ARGS='--qos high',
        PATH=f'{tmp_path}:{os.environ["PATH"]}',
    )
    for expected in (
        '-p gpu',
        '--job-name=job',
        '--gres=gpu:8',
        '--ntasks=16',
        '--qos high',
        'config.py --work-dir=out dir --launcher slurm --resume',
    ):
        assert expected in result.stdout
    assert 12000 <= int(result.stdout.split()[0]) < 32000


@pytest.mark.skipif(torch.cuda.is_available(), reason='tests gloo on a machine without a GPU')
@pytest.mark.slow
def test_two_ranks_train_resume_and_test(tmp_path):
    config = tiny.write_config(
        tmp_path / 'config.py',
        tiny.write_pictures(tmp_path / 'data'),
        train_cfg__max_iters=4,
        randomness__diff_rank_seed=True,
        default_hooks__checkpoint__max_keep_ckpts=-1,
    )
    whole, broken = tmp_path / 'whole', tmp_path / 'broken'
    distributed('dist_train.sh', config, 2, '--work-dir', whole)
    checkpoint = tiny.load(whole / 'iter_4.pth')
    assert not any(
        '.module.' in key and not key.startswith('generator_ema')
        for key in checkpoint['state_dict']
    )
    buffers = [rank['b.images'] for rank in checkpoint['rank_buffers']]
    assert len(buffers) == 2 and not torch.equal(*buffers)

    broken.mkdir()
    os.link(whole / 'iter_2.pth', broken / 'iter_2.pth')
    (broken / 'last_checkpoint').write_text(str(broken / 'iter_2.pth'))
    distributed('dist_train.sh', config, 2, '--work-dir', broken, '--resume')
    tiny.assert_same_state(tiny.load(broken / 'iter_4.pth'), checkpoint)

    distributed('dist_test.sh', config, whole / 'iter_4.pth', 2, '--work-dir', whole)
    names = sorted(p.name for p in (whole / 'test/translations/b').iterdir())
    assert names == ['0.png', '1.png', '2.png']
    assert '3 of 3 translations' in (whole / 'test/index.html').read_text()


def distributed(script, *argv):
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    result = run(script, *argv, PORT=str(port))
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]


def test_a_rank_that_leaves_runs_what_is_registered_for_its_end(tmp_path):
    script = f"""
import atexit
import torch.distributed
from sesim_mmagic.apis.launch import leave_job
torch.distributed.init_process_group(
    'gloo', init_method='file://{tmp_path}/rendezvous', rank=0, world_size=1
)
atexit.register(print, 'registered')
print('printed')
leave_job()
print('still there')
"""
    result = subprocess.run(
        [sys.executable, '-c', script], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ['printed', 'registered']
