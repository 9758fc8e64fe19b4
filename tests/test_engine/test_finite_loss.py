"""A loss that is no number stops the training, whatever hooks there are."""

import math

import pytest
import torch
from mmengine.hooks import Hook

from sesim_mmagic.translators.checks import finite_losses
from tests.test_engine import tiny


@pytest.mark.parametrize('value', [math.nan, math.inf, torch.tensor(-math.inf)])
def test_value_that_is_not_finite_is_named(hub, tmp_path, value):
    checkpoint = tmp_path / 'iter_8.pth'
    checkpoint.touch()
    hub.update_info('iter', 9)
    hub.update_info('last_ckpt', str(checkpoint))
    losses = dict(loss_gan_g=torch.tensor(1.0), loss_structure=value)
    with pytest.raises(RuntimeError) as error:
        finite_losses(losses)
    message = str(error.value)
    assert message.startswith(f"Iteration 10: 'loss_structure' is {float(value)}")
    assert f"'{checkpoint}' (kept)" in message
    assert '--resume' in message


def test_without_a_checkpoint_the_advice_is_to_start_again(hub):
    with pytest.raises(RuntimeError, match="^'loss' is nan.*No checkpoint was saved.*start again"):
        finite_losses(dict(loss=torch.tensor(math.nan)))


def test_finite_values_pass_detached():
    weight = torch.tensor(1e30, requires_grad=True)
    losses = finite_losses(dict(loss=2 * weight, lr=0.1))
    assert losses == dict(loss=torch.tensor(2e30), lr=0.1)
    assert not losses['loss'].requires_grad


class Explode(Hook):
    """Makes a loss NaN at iteration 4, when a checkpoint is due."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 3:
            runner.model.structure_loss.loss_weight = math.nan


CYCLE = dict(
    type='sesim_mmagic.SeSimCycleGAN',
    default_domain='b',
    reachable_domains=['a', 'b'],
    related_domains=['a', 'b'],
    buffer_size=3,
    generator=dict(type='sesim_mmagic.ResNetBlurGenerator', base_channels=4, num_blocks=1),
    discriminator=dict(type='sesim_mmagic.BlurPatchGAN', base_channels=4, num_layers=2),
)


@pytest.mark.parametrize('mmagic', [False, True], ids=['one-sided', 'CycleGAN'])
@pytest.mark.parametrize('loop', ['sesim_mmagic.ResumableIterTrainLoop', 'IterBasedTrainLoop'])
def test_training_stops_before_a_spoilt_checkpoint(tmp_path, loop, mmagic):
    config = tiny.write_config(tmp_path / 'config.py', tiny.write_pictures(tmp_path / 'data'))
    options = dict(train_cfg__type=loop, custom_hooks=[dict(type='EmptyCacheHook')])
    if mmagic:
        model = tiny.load_config(config, tmp_path / 'work').model
        options['model'] = dict(
            CYCLE,
            _delete_=True,
            data_preprocessor=model.data_preprocessor,
            structure_loss=model.structure_loss,
        )
    with pytest.raises(RuntimeError, match="Iteration 4: 'loss_structure(_a)?' is nan"):
        tiny.train(config, tmp_path / 'work', Explode(), **options)
    kept = tmp_path / 'work' / 'iter_2.pth'
    assert [p.name for p in kept.parent.glob('*.pth*')] == ['iter_2.pth']
    assert tiny.load(kept)['meta']['iter'] == 2
