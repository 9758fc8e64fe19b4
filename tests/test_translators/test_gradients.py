"""Gradients of each objective of a training step against finite differences, in float64.

A loss can be right where its gradient is not. What an objective takes as given (detached tensors,
draws, the image buffer) is held, its weights alone are moved.
"""

import random
from functools import partial

import numpy as np
import pytest
import torch
from mmengine import MessageHub
from mmengine.optim import OptimWrapper
from torch import nn
from torch.overrides import TorchFunctionMode

from sesim_mmagic.translators.image_buffer import ImageBuffer
from tests.test_translators.tiny import (
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

SIDE = 16
LAYERS = dict(layers=('relu1_2', 'relu2_2'), feature_net=TINY_VGG)
LOSSES = dict(
    none=None,
    pixel=dict(type='sesim_mmagic.PixelLoss'),
    perceptual=dict(type='sesim_mmagic.PerceptualLoss', **LAYERS),
    fsesim=TINY_FSESIM,
    lsesim=TINY_LSESIM,
    patch_nce=TINY_PATCH_NCE,
)
STYLEGAN2 = dict(type='sesim_mmagic.StyleGAN2Discriminator', size=SIDE, base_channels=4)
AUGMENTED = dict(augmentation=dict(colour=True, translation=0.25, cutout=0.5))
UNET = dict(
    type='UnetGenerator', in_channels=3, out_channels=3, num_down=5, base_channels=4,
    norm_cfg=dict(type='BN'), use_dropout=False,
)  # fmt: skip
TRANSLATORS = dict(
    one_sided=lambda loss, **kwargs: one_sided(
        structure_loss=loss, identity_weight=1.0, structure_identity_weight=float(bool(loss)),
        buffer_size=1, **kwargs,
    ),
    multi_modal=lambda loss, **kwargs: multi_modal(
        structure_loss=content_encoder(loss), cycle_weight=1.0, **kwargs
    ),
    one_sided_multi_modal=lambda loss, **kwargs: multi_modal(
        structure_loss=content_encoder(loss), two_sided=False, **kwargs
    ),
    cyclegan=lambda loss, **kwargs: cyclegan(structure_loss=loss, **encoding(loss), **kwargs),
    pix2pix=lambda loss, **kwargs: pix2pix(
        structure_loss=loss, **{'generator': UNET, **encoding(loss)}, **kwargs
    ),
)  # fmt: skip
STEPS = {
    f'{name}-{loss}': lambda build=build, config=config, **kwargs: build(config, **kwargs)
    for name, build in TRANSLATORS.items()
    for loss, config in LOSSES.items()
}
STEPS.update(
    mirrored=lambda **kwargs: one_sided(
        structure_loss=TINY_PATCH_NCE, flip_equivariance=True, **kwargs
    ),
    single_image=lambda **kwargs: one_sided(
        **{**TINY_SINGLE_IMAGE, 'discriminator': STYLEGAN2}, gradient_penalty_weight=1.0, **kwargs
    ),
    projected=lambda **kwargs: held_norms(
        one_sided(
            more_discriminators=dict(projected={**TINY_PROJECTED, 'weight': 1.0, 'r1_weight': 1.0}),
            **AUGMENTED,
            **kwargs,
        )
    ),
    r1=lambda **kwargs: one_sided(r1_weight=1.0, buffer_size=0, **kwargs),
    domain_invariant=lambda **kwargs: multi_modal(
        more_losses=dict(perceptual={**LOSSES['perceptual'], 'domain_invariant': True}), **kwargs
    ),
    raw_l1=lambda **kwargs: one_sided(
        structure_loss={**TINY_FSESIM, 'distance': 'l1', 'normalize': False}, **kwargs
    ),
)


def content_encoder(loss):
    """PatchNCE's layers are the generator's: here those of MUNIT's content encoder."""
    return {**loss, 'layers': (0, 5, 9, 12)} if loss is TINY_PATCH_NCE else loss


def held_norms(model):
    """Spectral norms that a forward pass does not change."""
    model.discriminators.eval()
    return model


def encoding(loss):
    """A generator that PatchNCE can look through; MMagic's own is taken for other losses."""
    return dict(generator=TINY_RESNET) if loss is TINY_PATCH_NCE else {}


class Held(TorchFunctionMode):
    """Detached tensors keep the values that they had the first time."""

    def __init__(self):
        super().__init__()
        self.values = []

    def __enter__(self):
        self.next = 0
        return super().__enter__()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function is torch.Tensor.detach:
            if self.next == len(self.values):
                self.values.append(result.clone())
            result = self.values[self.next].clone()
            self.next += 1
        return result


class Objective(OptimWrapper):
    """Notes the loss and, if asked, its gradients; moves nothing."""

    differentiate = True

    def update_params(self, loss, **kwargs):
        self.loss = loss.item()
        if self.differentiate:
            self.gradients = torch.autograd.grad(
                loss, self.weights, retain_graph=True, allow_unused=True, materialize_grads=True
            )

    @property
    def weights(self):
        return self.optimizer.param_groups[0]['params']


def run(model, data, optimizers, held, differentiate=False):
    """One training step from the same draws and the same image buffer."""
    for buffer in (m for m in model.modules() if isinstance(m, ImageBuffer)):
        buffer.images = torch.empty(0, dtype=torch.float64)
    for objective in optimizers.values():
        objective.differentiate = differentiate
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    with held:
        model.train_step(data, optimizers)


def moved_losses(objective, directions, step, train):
    """The loss with the weights moved forward and backward."""
    for distance in (step, -2 * step):
        for weight, direction in zip(objective.weights, directions, strict=True):
            weight.data.add_(direction, alpha=distance)
        train()
        yield objective.loss
    for weight, direction in zip(objective.weights, directions, strict=True):
        weight.data.add_(direction, alpha=step)


def spread_weights(model):
    """Weights that let every layer count, and whose translations are not of one colour.

    Of a picture of one colour norms would enlarge the errors of rounding, and nothing else.
    """
    images = torch.rand(1, 3, 2 * SIDE, 2 * SIDE) * 2 - 1
    for seed in range(100):
        torch.manual_seed(seed)
        for name, weight in model.named_parameters():
            if 'feature_net' not in name:
                nn.init.xavier_normal_(weight) if weight.dim() > 1 else nn.init.normal_(
                    weight, std=0.2
                )
        translations = (model.translate(images, target) for target in model.domains)
        if all(translated.std((-2, -1)).min() > 0.01 for translated in translations):
            return
    raise AssertionError('all weights give pictures of one colour')


@pytest.mark.parametrize('channels_last', [False, True], ids=['contiguous', 'channels_last'])
@pytest.mark.parametrize('name', STEPS)
def test_gradients_of_a_training_step(name, channels_last, step=1e-9):
    MessageHub.get_current_instance().update_info('iter', 0)
    model = STEPS[name](channels_last=channels_last)
    side = 2 * SIDE if 'pix2pix' in name else SIDE  # MMagic's U-Net halves five times
    spread_weights(model)
    model.double()
    optimizers = optim_wrappers(model, wrapper=Objective, optimizer=torch.optim.SGD, lr=0.0)
    for size in (1, 2):
        data, held = batch(size, side, side), Held()
        run(model, data, optimizers, held, differentiate=True)
        for key, objective in optimizers.items():
            directions = [torch.randn_like(weight) for weight in objective.weights]
            losses = moved_losses(
                objective, directions, step, partial(run, model, data, optimizers, held)
            )
            ahead, behind = losses
            expected = (ahead - behind) / (2 * step)
            gradients = objective.gradients
            found = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True)).item()
            length = sum(g.square().sum() for g in gradients).sqrt().item()
            assert length > 0, key
            assert found == pytest.approx(expected, rel=1e-4, abs=1e-4 * length), (size, key)
