"""What only a GPU can show: mixed precision, waits, NCCL, resuming, image buffers of ranks."""

import copy

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine import MessageHub
from mmengine.model import MMSeparateDistributedDataParallel
from mmengine.optim import AmpOptimWrapper

from sesim_mmagic.apis.ranks import leave_job
from sesim_mmagic.translators import multi_modal as multi_modal_module
from sesim_mmagic.translators import one_sided as one_sided_module
from tests.test_translators.tiny import batch, cyclegan, multi_modal, one_sided, optim_wrappers
from tests.tiny import TINY_FSESIM, TINY_LSESIM, TINY_PATCH_NCE

pytestmark = pytest.mark.gpu
DEVICE, BACKEND = 'cuda', 'nccl'
AUGMENTATION = dict(colour=True, translation=0.1, cutout=0.2)
BUILDERS = dict(
    fsesim=lambda: one_sided(augmentation=AUGMENTATION),
    lsesim=lambda: one_sided(structure_loss=TINY_LSESIM, ema=dict(momentum=0.1)),
    cut=lambda: one_sided(structure_loss=TINY_PATCH_NCE, structure_identity_weight=1.0),
    munit=lambda: multi_modal(cycle_weight=1.0),
    cyclegan=lambda: cyclegan(structure_loss=TINY_FSESIM),
)


@pytest.fixture(autouse=True)
def iteration_of_the_runner():
    MessageHub.get_current_instance().update_info('iter', 0)


def trained(model, wrappers, first=0, steps=2):
    """Losses of the last step; each step has a batch and draws of its own."""
    for step in range(first, first + steps):
        torch.manual_seed(step)
        losses = model.train_step(batch(seed=step), wrappers)
    return {name: float(value) for name, value in losses.items()}


@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
@pytest.mark.parametrize('name', BUILDERS)
def test_mixed_precision_trains(name, dtype):
    model = BUILDERS[name]().to(DEVICE)
    exact = copy.deepcopy(model)
    # A scale at which no gradient of the first step overflows: else the step is left out.
    wrappers = optim_wrappers(model, AmpOptimWrapper, dtype=dtype, loss_scale=128.0)
    before = copy.deepcopy(model.generators.state_dict())
    found = trained(model, wrappers, steps=1)
    for key, value in trained(exact, optim_wrappers(exact), steps=1).items():
        assert found[key] == pytest.approx(value, rel=0.1, abs=0.05), key
    after = model.generators.state_dict()
    assert all(not torch.equal(after[key], before[key]) for key in after if key.endswith('weight'))


@pytest.mark.parametrize('name', ['fsesim', 'lsesim', 'cut', 'munit'])
def test_no_step_waits(name, monkeypatch):
    """But for the images on their way in, and for the one look at the losses."""
    for module in (one_sided_module, multi_modal_module):
        monkeypatch.setattr(module, 'finite_losses', lambda losses: losses)
    model = BUILDERS[name]().to(DEVICE)
    images = 2 * torch.rand(2, 2, 3, 32, 32, device=DEVICE) - 1
    monkeypatch.setattr(model, '_training_images', lambda data: tuple(images))
    wrappers = optim_wrappers(model)
    model.train_step({}, wrappers)
    torch.cuda.set_sync_debug_mode('error')
    try:
        model.train_step({}, wrappers)
    finally:
        torch.cuda.set_sync_debug_mode('default')


def test_a_resumed_training_is_near_an_unbroken_one():
    """Near, not equal: some kernels of a GPU add up in any order."""
    unbroken, first = BUILDERS['lsesim']().to(DEVICE), BUILDERS['lsesim']().to(DEVICE)
    expected = trained(unbroken, optim_wrappers(unbroken), steps=4)
    wrappers = optim_wrappers(first)
    trained(first, wrappers)
    saved = copy.deepcopy((first.state_dict(), wrappers.state_dict()))
    second = BUILDERS['lsesim']()
    second.load_state_dict({name: value.cpu() for name, value in saved[0].items()})
    second.to(DEVICE)
    wrappers = optim_wrappers(second)
    wrappers.load_state_dict(saved[1])
    for name, value in trained(second, wrappers, first=2).items():
        assert value == pytest.approx(expected[name], rel=0.02, abs=1e-3), name


def run_rank(rank, world_size, folder):
    """Train on one rank; save the generators' weights and the image buffer."""
    if DEVICE == 'cuda':
        torch.cuda.set_device(rank)
    MessageHub.get_current_instance().update_info('iter', 0)
    store = f'file://{folder}/rendezvous'
    dist.init_process_group(BACKEND, init_method=store, rank=rank, world_size=world_size)
    model = one_sided(structure_loss=TINY_LSESIM, ema=dict(momentum=0.1), buffer_size=3).to(DEVICE)
    wrapped = MMSeparateDistributedDataParallel(model)
    wrappers = optim_wrappers(model)
    for step in range(3):
        torch.manual_seed(step)
        wrapped.train_step(batch(seed=10 * rank + step), wrappers)
    state = wrapped.module.state_dict()
    torch.save({name: value.cpu() for name, value in state.items()}, f'{folder}/rank{rank}.pth')
    leave_job()


@pytest.mark.parametrize('world_size', [1, 2])
def test_ranks_train_one_model_with_buffers_of_their_own(world_size, tmp_path):
    if DEVICE == 'cuda' and torch.cuda.device_count() < world_size:
        pytest.skip(f'{world_size} ranks need as many GPUs')
    mp.spawn(run_rank, args=(world_size, str(tmp_path)), nprocs=world_size)
    states = [torch.load(tmp_path / f'rank{rank}.pth') for rank in range(world_size)]
    buffers = {name for name in states[0] if name.startswith('image_buffers.')}
    assert buffers and all(len(state[name]) == 3 for state in states for name in buffers)
    for state in states[1:]:
        for name, value in state.items():
            same = torch.allclose(value, states[0][name], rtol=1e-4, atol=1e-5)
            assert same != (name in buffers), name
