"""The shell scripts: their arguments; test_several_machines.py runs them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_a_rank_that_leaves_runs_what_is_registered_for_its_end(tmp_path):
    script = f"""
import atexit
import torch.distributed
from sesim_mmagic.apis.ranks import leave_job
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
