"""Activation checkpointing: the same numbers, bit for bit, in less memory."""

import weakref

import pytest
import torch
from mmengine import MessageHub
from mmengine.optim import OptimWrapper
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sesim_mmagic.engine import CpuAmpOptimWrapper
from sesim_mmagic.translators import acceleration
from tests.test_translators.tiny import (
    MMAGIC_NETWORKS,
    TINY_RESNET,
    TINY_SINGLE_IMAGE,
    batch,
    cyclegan,
    multi_modal,
    one_sided,
    optim_wrappers,
    pix2pix,
)
from tests.tiny import TINY_FSESIM, TINY_LSESIM, TINY_PATCH_NCE, TINY_PROJECTED, TINY_VGG

# Running statistics and dropout.
BATCH_NORM = {key: {**net, 'norm_cfg': dict(type='BN')} for key, net in MMAGIC_NETWORKS.items()}
BATCH_NORM['generator']['use_dropout'] = True
UNET = dict(
    type='UnetGenerator', in_channels=3, out_channels=3, num_down=5, base_channels=4,
    norm_cfg=dict(type='BN'), use_dropout=True, init_cfg=dict(type='normal', gain=0.02),
)  # fmt: skip
# Noise, and gradients of gradients.
SINGLE_IMAGE = {
    **TINY_SINGLE_IMAGE,
    'generator': {**TINY_SINGLE_IMAGE['generator'], 'noise': True},
    'gradient_penalty_weight': 1.0,
    'r1_weight': 1.0,
}
# Patches of a frozen network.
FROZEN_PATCHES = {
    **TINY_PATCH_NCE, 'layers': ('relu3_1',), 'channels': (32,), 'feature_net': TINY_VGG
}  # fmt: skip
# Spectral norm; a random augmentation.
PROJECTED = dict(more_discriminators=dict(projected=TINY_PROJECTED), augmentation=dict(cutout=0.5))
SETTINGS = dict(
    fixed=(one_sided, dict(identity_weight=1.0, generator={**TINY_RESNET, 'dropout': 0.5})),
    learned=(one_sided, dict(structure_loss=TINY_LSESIM, channels_last=True)),
    patch_nce=(one_sided, dict(structure_loss=TINY_PATCH_NCE)),
    frozen_patches=(one_sided, dict(structure_loss=FROZEN_PATCHES)),
    projected=(one_sided, PROJECTED),
    single_image=(one_sided, SINGLE_IMAGE),
    cyclegan=(cyclegan, dict(structure_loss=TINY_LSESIM, **BATCH_NORM)),
    unet=(pix2pix, dict(structure_loss=TINY_FSESIM, generator=UNET)),
    multi_modal=(multi_modal, dict(cycle_weight=1.0)),
)


@pytest.fixture(autouse=True)
def iteration_of_the_runner():
    MessageHub.get_current_instance().update_info('iter', 0)


def trained(build, wrapper=OptimWrapper, **settings):
    """Gradients of a training step, then all parameters and buffers of the model."""
    gradients = {}

    class Recording(wrapper):
        def step(self, **kwargs):
            found = [p.grad.clone() for p in self.optimizer.param_groups[0]['params']]
            gradients.update({f'gradient {len(gradients) + i}': g for i, g in enumerate(found)})
            super().step(**kwargs)

    model = build(**settings)
    torch.manual_seed(0)
    model.train_step(batch(), optim_wrappers(model, Recording))
    return {**gradients, **model.state_dict()}


@pytest.mark.parametrize('name', [*SETTINGS, 'fixed in bfloat16'])
def test_a_step_is_the_same_bit_for_bit(name):
    """Gradients, and what is to change once a call: running statistics, power iterations."""
    build, settings = SETTINGS[name.split()[0]]
    wrapper = CpuAmpOptimWrapper if 'bfloat16' in name else OptimWrapper
    expected = trained(build, wrapper, **settings)
    found = trained(build, wrapper, **settings, with_cp=True)
    assert list(found) == list(expected)
    assert not [key for key, value in expected.items() if not torch.equal(found[key], value)]


class PeakBytes(TorchDispatchMode):
    """Counts the bytes of all tensors that were made since it began and are alive."""

    def __init__(self):
        super().__init__()
        self.alive, self.bytes, self.peak = {}, 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self.note(tensor.untyped_storage())
        return out

    def note(self, storage):
        key, size = storage._cdata, storage.nbytes()
        if key not in self.alive:
            self.bytes += size
            self.peak = max(self.peak, self.bytes)
            self.alive[key] = weakref.ref(storage, lambda _: self.forget(key, size))

    def forget(self, key, size):
        del self.alive[key]
        self.bytes -= size


RESNET = {**TINY_RESNET, 'base_channels': 8, 'num_blocks': 3}
# Its blocks are a list of modules, the ResNet's lie in a row.
MUNIT = dict(
    type='sesim_mmagic.MUNITGenerator', base_channels=4, num_blocks=6, mlp_channels=8,
    style_channels=3, style_downsamplings=2,
)  # fmt: skip


def peak_of_a_step(build, loss, side, **settings):
    # Coarse features: heads of so narrow ones are wide beside the networks.
    model = build(structure_loss={**loss, 'layers': ('relu3_1',)}, **settings)
    wrappers = optim_wrappers(model, optimizer=torch.optim.SGD)
    data = batch(1, side, side)
    with PeakBytes() as counter:
        model.train_step(data, wrappers)
    return counter.peak


@pytest.mark.parametrize(
    ('build', 'generator', 'loss', 'side', 'share'),
    [
        pytest.param(one_sided, RESNET, TINY_FSESIM, 96, 1 / 2, id='fixed'),
        pytest.param(one_sided, RESNET, TINY_LSESIM, 96, 1 / 2, id='learned'),
        pytest.param(multi_modal, MUNIT, TINY_FSESIM, 64, 1 / 3, id='multi_modal'),
    ],
)
def test_a_step_takes_a_share_of_the_memory(build, generator, loss, side, share):
    kept = peak_of_a_step(build, loss, side, generator=generator)
    assert peak_of_a_step(build, loss, side, generator=generator, with_cp=True) < share * kept


@pytest.mark.parametrize('loss', [TINY_FSESIM, FROZEN_PATCHES], ids=['FSeSim', 'patches'])
def test_features_of_the_translation_are_computed_again(loss):
    calls = []
    for with_cp in (False, True):
        model = one_sided(structure_loss=loss, with_cp=with_cp)
        layer = next(m for m in model.structure_loss.feature_net.modules() if not [*m.children()])
        layer.register_forward_hook(lambda *args, flag=with_cp: calls.append(flag))
        model.train_step(batch(), optim_wrappers(model))
    assert calls.count(True) == calls.count(False) + 1


def test_a_generator_without_parts_is_named(monkeypatch):
    lines = []
    monkeypatch.setattr(acceleration, 'print_log', lambda line, *_: lines.append(line))
    pix2pix(generator=UNET, with_cp=True)
    cyclegan(with_cp=True)
    assert len(lines) == 1 and 'generators.zebra (UnetGenerator) has no parts' in lines[0]


def test_a_compiled_network_decides_itself():
    with pytest.raises(ValueError, match='with_cp and compile exclude each other.*set one of them'):
        one_sided(with_cp=True, compile=True)
