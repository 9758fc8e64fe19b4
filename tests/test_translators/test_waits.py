"""A training step never waits for an accelerator, but for the one look at its losses.

The meta device stands for the accelerator: its tensors have no values, so that whatever asks for
one fails; and what is copied to it from the CPU is seen.
"""

import contextlib
import traceback
from collections import Counter
from pathlib import Path

import pytest
import torch
from mmengine import MessageHub
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import sesim_mmagic
from sesim_mmagic.translators import mmagic_models, multi_modal, one_sided
from sesim_mmagic.translators.checks import finite_losses
from tests.test_translators import tiny
from tests.tiny import TINY_LSESIM, TINY_PATCH_NCE, TINY_PROJECTED

ROOT = Path(sesim_mmagic.__file__).parent
AUGMENTATION = dict(colour=True, translation=0.1, cutout=0.2)
MODELS = {
    'fsesim': (tiny.one_sided, dict(augmentation=AUGMENTATION, buffer_size=3)),
    'lsesim': (tiny.one_sided, dict(structure_loss=TINY_LSESIM, ema=dict(momentum=0.1))),
    'cut': (
        tiny.one_sided,
        dict(structure_loss=TINY_PATCH_NCE, structure_identity_weight=1.0, flip_equivariance=True),
    ),
    'single_image': (tiny.one_sided, {**tiny.TINY_SINGLE_IMAGE, 'gradient_penalty_weight': 1.0}),
    'projected': (tiny.one_sided, dict(more_discriminators=dict(projected=TINY_PROJECTED))),
    'munit': (tiny.multi_modal, {}),
    'cyclegan': (tiny.cyclegan, dict(structure_loss=TINY_LSESIM, ema=dict(momentum=0.1))),
    'pix2pix': (tiny.pix2pix, {}),
}


class Watch(TorchDispatchMode):
    """Notes which lines of the package copy to the device and wait for it, and types there."""

    def __init__(self):
        super().__init__()
        self.copies, self.types = Counter(), set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        devices = {t.device.type for t in tree_leaves(args) if isinstance(t, torch.Tensor)}
        if isinstance(out, torch.Tensor) and out.is_meta:
            self.types.add(out.dtype)
            if 'cpu' in devices and not (kwargs or {}).get('non_blocking') and out.dim():
                frames = [Path(frame.filename) for frame in traceback.extract_stack()]
                self.copies.update([next(p.stem for p in frames[::-1] if ROOT in p.parents)])
        return out


@pytest.fixture(autouse=True)
def on_the_meta_device(monkeypatch):
    monkeypatch.setattr(torch, 'autocast', lambda *args, **kwargs: contextlib.nullcontext())
    # They look at the values of losses, at the end of the step.
    for module in (one_sided, multi_modal, mmagic_models):
        monkeypatch.setattr(module, 'finite_losses', lambda losses: losses)
    MessageHub.get_current_instance().update_info('iter', 0)


@pytest.mark.parametrize('name', MODELS)
def test_no_step_waits_for_the_device(name):
    build, settings = MODELS[name]
    model = build(**settings).to('meta')
    model.data_preprocessor._device = torch.device('meta')
    if model.generator_ema is not None:  # between these devices a module's parameters are new
        average = model.generator_ema
        average.avg_parameters = dict(average.module.named_parameters())
    wrappers = tiny.optim_wrappers(model)
    model.train_step(tiny.batch(), wrappers)  # what is done once is no part of a step
    with Watch() as watch:
        model.train_step(tiny.batch(), wrappers)
    # MMagic's preprocessor brings the images, its gradient penalty a number for each of them.
    brought = {'domain_translator', 'mmagic_models'} | (
        {'penalties'} if name == 'single_image' else set()
    )
    assert set(watch.copies) <= brought, watch.copies
    assert torch.float32 in watch.types and torch.float64 not in watch.types


def test_the_look_at_the_losses_waits_once(monkeypatch):
    monkeypatch.undo()
    asked = []

    class Asked(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            asked.append(func.overloadpacket.__name__)
            return func(*args, **(kwargs or {}))

    losses = {name: torch.rand(()) for name in 'abcd'}
    with Asked():
        finite_losses(losses)
    assert asked.count('_local_scalar_dense') == 1
