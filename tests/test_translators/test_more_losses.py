"""Losses beside the structure loss, in every translator."""

import pytest
import torch
from mmengine import MessageHub

from tests.test_translators.tiny import batch, cyclegan, multi_modal, one_sided, optim_wrappers
from tests.tiny import TINY_FSESIM, TINY_LSESIM

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
    'losses, message',
    [
        ({'structure': PIXEL}, 'more_losses.structure: losses are logged as loss_NAME'),
        ({'a b': PIXEL}, 'more_losses.a b: losses are logged as loss_NAME'),
        ({'heads': TINY_LSESIM}, 'more_losses.heads: LSeSimLoss learns'),
        ([PIXEL], 'more_losses must be a dictionary or None'),
    ],
)
@pytest.mark.parametrize('build', [one_sided, cyclegan])
def test_losses_that_cannot_stand_beside(build, losses, message):
    with pytest.raises(ValueError, match=message):
        build(structure_loss=TINY_FSESIM, more_losses=losses)
