import copy

import numpy as np
import pytest
import torch
from mmengine import MessageHub

from tests.test_translators.tiny import batch, cyclegan, optim_wrappers, pix2pix
from tests.tiny import TINY_FSESIM


@pytest.fixture(autouse=True)
def iteration_of_the_runner():
    """MMagic's training steps ask the runner's message hub for the iteration."""
    MessageHub.get_current_instance().update_info('iter', 0)


@pytest.mark.parametrize(
    'build, ours, host',
    [(cyclegan, 'SeSimCycleGAN', 'CycleGAN'), (pix2pix, 'SeSimPix2Pix', 'Pix2Pix')],
    ids=['CycleGAN', 'Pix2Pix'],
)
def test_without_structure_loss_it_is_mmagic(build, ours, host):
    """Same losses and same weights, bit for bit, also after the image buffer has filled."""
    kwargs = dict(buffer_size=4) if host == 'CycleGAN' else {}
    models = [build(f'sesim_mmagic.{ours}', **kwargs), build(f'mmagic.{host}', **kwargs)]
    models[1].load_state_dict(
        {k: v for k, v in models[0].state_dict().items() if 'image_buffers' not in k}
    )
    logs = []
    for model in models:
        wrappers = optim_wrappers(model)
        torch.manual_seed(0)
        np.random.seed(0)
        logs.append([model.train_step(copy.deepcopy(batch(seed=s)), wrappers) for s in range(5)])
    for ours_log, host_log in zip(*logs, strict=True):
        assert ours_log.keys() == host_log.keys()
        assert all(float(ours_log[k]) == float(host_log[k]) for k in host_log)
    state = models[0].state_dict()
    for key, value in models[1].state_dict().items():
        assert torch.equal(state[key], value), key
    samples = [models[0].eval().test_step(batch()), models[1].eval().val_step(batch())]
    for ours_sample, host_sample in zip(*samples, strict=True):
        assert torch.equal(ours_sample.fake_zebra, host_sample.fake_zebra)


def test_structure_loss_counts_in_both_directions():
    plain, structured = cyclegan(), cyclegan(structure_loss=TINY_FSESIM)
    logs = [model.train_step(batch(), optim_wrappers(model)) for model in (plain, structured)]
    added = logs[1].keys() - logs[0].keys()
    assert added == {'loss_structure_horse', 'loss_structure_zebra'}
    extra = sum(float(logs[1][key]) for key in added)
    assert float(logs[1]['loss']) == pytest.approx(float(logs[0]['loss']) + extra, rel=1e-5)
    first = [next(model.generators['horse'].parameters()) for model in (plain, structured)]
    assert not torch.equal(*first), 'the structure loss reached no gradient'


def test_structure_loss_in_pix2pix():
    model = pix2pix(structure_loss=TINY_FSESIM)
    log_vars = model.train_step(batch(), optim_wrappers(model))
    assert float(log_vars['loss_structure_zebra']) > 0


def test_checkpoint_holds_the_image_buffers():
    model = cyclegan(buffer_size=4)
    model.train_step(batch(), optim_wrappers(model))
    revived = cyclegan(buffer_size=4)
    revived.load_state_dict(model.state_dict())
    for domain in ('horse', 'zebra'):
        assert len(revived.image_buffers[domain].images) == 2
        assert torch.equal(revived.image_buffers[domain].images, model.image_buffers[domain].images)


@pytest.mark.parametrize('loss_config', [None, dict(id_loss_weight=0.5)])
def test_a_training_has_both_weights_of_a_cycle(loss_config):
    with pytest.raises(ValueError, match='loss_config has no cycle_loss_weight'):
        cyclegan(loss_config=loss_config)
    assert cyclegan(loss_config=loss_config, discriminator=None).image_buffers  # as for inference


def test_channel_order_is_checked():
    with pytest.raises(ValueError, match='expects BGR images'):
        cyclegan(
            structure_loss=TINY_FSESIM,
            data_preprocessor=dict(type='DataPreprocessor', output_channel_order='RGB'),
        )
