"""Losses beside the structure loss, in every translator."""

import pytest
import torch
from mmengine import MessageHub

from tests.test_translators.tiny import (
    batch,
    cyclegan,
    multi_modal,
    one_sided,
    optim_wrappers,
    pix2pix,
)
from tests.tiny import TINY_FSESIM, TINY_LSESIM, TINY_PROJECTED

PIXEL = dict(type='sesim_mmagic.PixelLoss', loss_weight=2.0)
BUILDERS = dict(one_sided=one_sided, multi_modal=multi_modal, cyclegan=cyclegan)


@pytest.mark.parametrize('name', BUILDERS)
def test_losses_are_logged_by_their_names_and_reach_the_generator(name):
    MessageHub.get_current_instance().update_info('iter', 0)
    weights = []
    for weight in (1.0, 0.0):
        losses = dict(colour=PIXEL, light=dict(PIXEL, loss_weight=weight))
        model = BUILDERS[name](structure_loss=TINY_FSESIM, more_losses=losses)
        torch.manual_seed(0)
        log = model.train_step(batch(), optim_wrappers(model))
        ends = [f'_{domain}' for domain in model.domains] if name == 'cyclegan' else ['']
        for end in ends:
            assert log[f'loss_light{end}'] == weight / 2 * log[f'loss_colour{end}'] or not weight
            assert log[f'loss_colour{end}'] > 0 and log[f'loss_structure{end}'] > 0
        weights.append(next(model.generators.parameters()).detach().clone())
    assert not torch.equal(*weights), 'what is logged is not in the objective'


def test_a_mirrored_batch_is_mirrored_back(monkeypatch):
    model = one_sided(flip_equivariance=True, more_losses=dict(colour=PIXEL))
    monkeypatch.setattr(model.generators['zebra'], 'forward', lambda images, **kwargs: images)
    for seed in range(4):  # both sides of the coin
        torch.manual_seed(seed)
        source, target = model._training_images(batch())
        mirrored = seed % 2 == 1
        images, encoded = model._translate_batch(source, target, mirrored)
        features = model._extract_features(images, encoded, mirrored)
        assert model._generator_losses(images, features, mirrored)['loss_colour'] == 0


@pytest.mark.parametrize(
    'build, settings',
    [
        (one_sided, dict(identity_weight=1.0, structure_identity_weight=1.0)),
        (multi_modal, dict(cycle_weight=1.0)),
        (cyclegan, {}),
        (pix2pix, {}),
    ],
)
def test_no_loss_takes_the_name_and_the_place_of_another(build, settings):
    MessageHub.get_current_instance().update_info('iter', 0)
    if build is not pix2pix:
        settings['more_discriminators'] = dict(b={**TINY_PROJECTED, 'r1_weight': 1.0})
    if build in (one_sided, multi_modal):
        settings |= dict(gradient_penalty_weight=1.0, r1_weight=1.0)
    model = build(structure_loss=TINY_LSESIM, **settings)
    log = model.train_step(batch(), optim_wrappers(model))
    names = {name.removeprefix('loss_') for name in log if name.startswith('loss_')}
    names = {n.removesuffix('_horse').removesuffix('_zebra') for n in names} - {'pixel'}
    assert len(names) >= 4
    for name in names:
        with pytest.raises(ValueError, match=f'more_losses.{name}: .* is taken'):
            build(more_losses={name: PIXEL})


@pytest.mark.parametrize('build', [one_sided, cyclegan])
def test_none_leaves_out_what_a_base_has(build):
    more = dict(more_losses=dict(a=None), more_discriminators=dict(b=None))
    assert list(build(**more).state_dict()) == list(build().state_dict())


@pytest.mark.parametrize('build', [one_sided, cyclegan])
def test_a_structure_loss_is_one(build):
    with pytest.raises(ValueError, match='structure_loss must be None or the config of a struct'):
        build(structure_loss=dict(type='L1Loss'))


@pytest.mark.parametrize(
    'losses, message',
    [
        ({'structure': PIXEL}, 'more_losses.structure: losses are logged as loss_NAME'),
        ({'a b': PIXEL}, 'more_losses.a b: losses are logged as loss_NAME'),
        ({'training': PIXEL}, 'more_losses.training: losses are logged as loss_NAME'),
        ({'a': dict(type='L1Loss')}, "more_losses.a must be None or the config of a struct.*'L1L"),
        ({'a': 'PixelLoss'}, "more_losses.a must be None or the config of .* got 'PixelLoss'"),
        ({'heads': TINY_LSESIM}, 'more_losses.heads: LSeSimLoss learns'),
        ([PIXEL], 'more_losses must be a dictionary or None'),
    ],
)
@pytest.mark.parametrize('build', [one_sided, cyclegan])
def test_losses_that_cannot_stand_beside(build, losses, message):
    with pytest.raises(ValueError, match=message):
        build(structure_loss=TINY_FSESIM, more_losses=losses)
