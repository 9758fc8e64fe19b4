import math
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook

from sesim_mmagic.engine import FiniteLossHook
from tests.test_engine import tiny


@pytest.mark.parametrize('value', [math.nan, math.inf, torch.tensor(-math.inf)])
def test_value_that_is_not_finite_stops_the_training(tmp_path, value):
    (tmp_path / 'iter_8.pth').touch()
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_8.pth'))
    runner = SimpleNamespace(iter=9, work_dir=tmp_path)
    outputs = dict(loss_gan_g=torch.tensor(1.0), loss_structure=value)
    with pytest.raises(RuntimeError) as error:
        FiniteLossHook().after_train_iter(runner, 9, outputs=outputs)
    message = str(error.value)
    assert message.startswith(f"Iteration 10: 'loss_structure' is {float(value)}")
    assert str(tmp_path / 'iter_8.pth') in message
    assert '--resume' in message


def test_without_a_checkpoint_the_advice_is_to_start_again(tmp_path):
    with pytest.raises(RuntimeError, match='No checkpoint was saved yet.*start again'):
        FiniteLossHook().after_train_iter(
            SimpleNamespace(iter=0, work_dir=tmp_path), 0, outputs=dict(loss=math.nan)
        )


def test_finite_values_pass(tmp_path):
    runner = SimpleNamespace(iter=0, work_dir=tmp_path)
    FiniteLossHook().after_train_iter(runner, 0, outputs=dict(loss=torch.tensor(1e30), lr=0.1))
    FiniteLossHook().after_train_iter(runner, 0, outputs=None)


def test_training_stops_before_a_spoilt_checkpoint(tmp_path):
    """At iteration 4 a checkpoint is due; the loss goes first."""

    class Explode(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            if runner.iter == 3:
                runner.model.structure_loss.loss_weight = math.nan

    config = tiny.write_config(tmp_path / 'config.py', tiny.write_pictures(tmp_path / 'data'))
    with pytest.raises(RuntimeError, match="Iteration 4: 'loss_structure' is nan"):
        tiny.train(config, tmp_path / 'work', Explode())
    kept = tmp_path / 'work' / 'iter_2.pth'
    assert [p.name for p in kept.parent.glob('*.pth*')] == ['iter_2.pth']
    assert tiny.load(kept)['meta']['iter'] == 2
