"""Several ranks train without a GPU; launchers of machines that have one are left alone."""

import os
import subprocess
from types import SimpleNamespace

import pytest
import torch

from sesim_mmagic.compat import mmengine_repairs

RANKS = """
import sys
import torch
import sesim_mmagic
from mmengine.dist import all_gather, get_backend, get_rank, get_world_size
from mmengine.model import BaseModel
from mmengine.runner import Runner
from sesim_mmagic.apis.ranks import leave_job
from torch import nn

class Halves(BaseModel):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(2, 3), nn.Linear(3, 1)

    def forward(self, *data, mode='loss'):
        inputs = torch.ones(4, 2) * (get_rank() + 1)  # gradients of the two ranks differ
        return {'loss': self.second(self.first(inputs)).square().mean()}

    def train_step(self, data, optim_wrapper):
        losses = self()
        optim_wrapper.update_params(losses['loss'])
        return losses

for wrapper in 'MMDistributedDataParallel', 'MMSeparateDistributedDataParallel':
    runner = Runner(
        Halves(), sys.argv[1], experiment_name=wrapper, launcher='pytorch',
        train_dataloader=dict(dataset=list(range(8)), batch_size=2,
                              sampler=dict(type='InfiniteSampler')),
        train_cfg=dict(by_epoch=False, max_iters=2),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        env_cfg=dict(dist_cfg=dict(backend='nccl')),
        cfg=dict(model_wrapper_cfg=dict(type=wrapper)))
    assert (get_backend(), get_world_size()) == ('gloo', 2)
    assert type(runner.model).__name__ == wrapper
    before = torch.nn.utils.parameters_to_vector(runner.model.parameters()).detach().clone()
    runner.train()
    after = torch.nn.utils.parameters_to_vector(runner.model.parameters()).detach()
    ranks = all_gather(after)
    assert torch.equal(*ranks) and not torch.equal(after, before), ranks
print('trained')
leave_job()
"""


@pytest.mark.skipif(torch.cuda.is_available(), reason='for machines without a GPU')
def test_launcher_and_wrappers_work_over_gloo_without_a_gpu(tmp_path, python):
    script = tmp_path / 'ranks.py'
    script.write_text(RANKS)
    launch = [python, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=2']
    run = subprocess.run(
        [*launch, str(script), str(tmp_path / 'work')],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert run.stdout.count('trained') == 2


def test_launchers_of_a_machine_with_a_gpu_are_left_alone(monkeypatch, applied):
    monkeypatch.setattr(mmengine_repairs, '_without_accelerator', lambda: False)
    dist_utils = SimpleNamespace(_init_dist_pytorch=lambda backend: None)
    wrappers = SimpleNamespace(MMDistributedDataParallel=type('Wrapper', (), {}))
    init, wrapper_init = (
        dist_utils._init_dist_pytorch,
        wrappers.MMDistributedDataParallel.__init__,
    )
    mmengine_repairs.repair_init_dist(dist_utils)
    mmengine_repairs.repair_ddp_device_ids(wrappers)
    assert dist_utils._init_dist_pytorch is init
    assert wrappers.MMDistributedDataParallel.__init__ is wrapper_init
    assert applied == []


def test_launcher_restores_set_device_when_it_fails(monkeypatch, applied):
    monkeypatch.setattr(mmengine_repairs, '_without_accelerator', lambda: True)

    def init(backend, port=None):
        torch.cuda.set_device(0)
        raise ValueError(f'{backend} {port}')

    dist_utils = SimpleNamespace(_init_dist_slurm=init)
    set_device = torch.cuda.set_device
    mmengine_repairs.repair_init_dist(dist_utils)
    with pytest.raises(ValueError, match='gloo 29500'):
        dist_utils._init_dist_slurm('nccl', port=29500)
    with pytest.raises(ValueError, match='mpi'):
        dist_utils._init_dist_slurm('mpi')
    assert torch.cuda.set_device is set_device and applied == ['init_dist']
