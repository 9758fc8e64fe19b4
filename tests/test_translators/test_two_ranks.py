"""Gradients of two ranks with half the batch each are those of one process with all of it."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine import MessageHub
from mmengine.model import MMSeparateDistributedDataParallel
from mmengine.optim import OptimWrapper

from sesim_mmagic.apis.ranks import leave_job
from tests.test_translators.tiny import (
    TINY_RESNET,
    TINY_SINGLE_IMAGE,
    batch,
    cyclegan,
    multi_modal,
    one_sided,
    optim_wrappers,
)
from tests.tiny import TINY_FSESIM, TINY_LSESIM, TINY_PATCH_NCE, TINY_PROJECTED

STEPS = 2
BESIDE = dict(more_discriminators=dict(projected={**TINY_PROJECTED, 'r1_weight': 1.0}))


def same_styles(**kwargs):
    """A multi-modal translator whose styles do not depend on what a rank has drawn before."""
    model = multi_modal(**kwargs)
    model._training_styles = lambda contents: contents.new_ones(len(contents), model.style_channels)
    return model


BUILDERS = dict(
    one_sided=lambda: one_sided(
        identity_weight=1.0, structure_identity_weight=0.5, ema=dict(momentum=0.1), **BESIDE
    ),
    cyclegan=lambda: cyclegan(structure_loss=TINY_FSESIM, **BESIDE),
    one_sided_learned=lambda: one_sided(structure_loss=TINY_LSESIM),
    one_sided_patch_nce=lambda: one_sided(
        structure_loss=TINY_PATCH_NCE, structure_identity_weight=1.0
    ),
    one_sided_mirrored=lambda: one_sided(structure_loss=TINY_PATCH_NCE, flip_equivariance=True),
    cyclegan_patch_nce=lambda: cyclegan(structure_loss=TINY_PATCH_NCE, generator=TINY_RESNET),
    # Without noise, which every rank draws for its own crops.
    single_image=lambda: one_sided(
        **TINY_SINGLE_IMAGE, structure_loss=TINY_FSESIM, identity_weight=1.0, r1_weight=1.0
    ),
    multi_modal=lambda: same_styles(cycle_weight=1.0, **BESIDE),
    multi_modal_one_sided=lambda: same_styles(structure_loss=TINY_LSESIM, two_sided=False),
    cyclegan_learned=lambda: cyclegan(structure_loss=TINY_LSESIM),
)


class RecordingOptimWrapper(OptimWrapper):
    """Keeps the gradients of every step."""

    def step(self, **kwargs):
        parameters = self.optimizer.param_groups[0]['params']
        self.recorded = [*getattr(self, 'recorded', []), [p.grad.clone() for p in parameters]]
        super().step(**kwargs)


def gradients(name, rank=0, world_size=1):
    """Gradients of every network in each step, and the names in the checkpoint."""
    torch.set_num_threads(1)
    for name_of_info, value in dict(seed=7 + rank, iter=0).items():  # views follow from these
        MessageHub.get_current_instance().update_info(name_of_info, value)
    model = BUILDERS[name]().double()
    if world_size > 1:
        model = MMSeparateDistributedDataParallel(model)
    bare = model.module if world_size > 1 else model
    # Plain gradient descent: a small error stays small, where Adam would blow it up.
    wrappers = optim_wrappers(bare, RecordingOptimWrapper, torch.optim.SGD, lr=1e-3)
    for step in range(STEPS):
        data = batch(size=4, seed=step)
        share = slice(rank * 4 // world_size, (rank + 1) * 4 // world_size)
        data = dict(
            inputs={key: images[share] for key, images in data['inputs'].items()},
            data_samples=data['data_samples'][share],
        )
        torch.manual_seed(step)  # every rank compares at the same positions
        model.train_step(data, wrappers)
    recorded = {key: wrappers[key].recorded for key in wrappers.keys()}
    return recorded, sorted(bare.state_dict())


def run_rank(rank, folder):
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2
    )
    found = {name: gradients(name, rank, 2) for name in BUILDERS}
    torch.save(found, f'{folder}/rank{rank}.pth')
    leave_job()


@pytest.fixture(scope='module')
def found_by_ranks(tmp_path_factory):
    """What two ranks find for every translator: they start once, which takes longest."""
    folder = tmp_path_factory.mktemp('ranks')
    mp.spawn(run_rank, args=(str(folder),), nprocs=2)
    return [torch.load(folder / f'rank{rank}.pth') for rank in range(2)]


@pytest.mark.parametrize('name', BUILDERS)
def test_gradients_are_averaged(name, found_by_ranks):
    expected, expected_keys = gradients(name)
    for found_by_rank in found_by_ranks:
        found, keys = found_by_rank[name]
        assert keys == expected_keys, 'a checkpoint of two ranks would not load on one'
        for network, steps in expected.items():
            assert len(steps) == len(found[network]) == STEPS
            for step, ranks_step in zip(steps, found[network], strict=True):
                for one, averaged in zip(step, ranks_step, strict=True):
                    error = (one - averaged).norm() / one.norm().clamp_min(1e-12)
                    # A bias before an instance norm has no gradient but rounding.
                    assert error < 1e-5 or one.norm() < 1e-12, (network, error)
