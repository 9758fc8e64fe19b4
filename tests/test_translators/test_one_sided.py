import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.optim import AmpOptimWrapper

from sesim_mmagic.translators.one_sided import ImageFeatures, Images
from sesim_mmagic.translators.padding import pad_to_multiple
from tests.test_translators.tiny import batch, one_sided, optim_wrappers
from tests.tiny import TINY_FSESIM, TINY_VGG


def weights(module):
    return torch.cat([p.detach().flatten() for p in module.parameters()])


@pytest.mark.quick
def test_a_step_trains_both_networks():
    model = one_sided()
    before = weights(model.generators), weights(model.discriminators)
    log_vars = model.train_step(batch(), optim_wrappers(model))
    assert set(log_vars) == {'loss_gan_d', 'loss_gan_g', 'loss_structure'}
    assert all(v.isfinite() and not v.requires_grad for v in log_vars.values())
    assert not torch.equal(before[0], weights(model.generators))
    assert not torch.equal(before[1], weights(model.discriminators))


def test_losses_are_what_the_paper_says():
    """Every term of one step, written out by hand."""
    model = one_sided(identity_weight=5.0, structure_identity_weight=0.5, buffer_size=0).double()
    data = batch()
    source, target = (
        torch.stack(data['inputs'][key]).double() / 127.5 - 1 for key in ('img_horse', 'img_zebra')
    )
    generate = copy.deepcopy(model.generators['zebra'])
    judge = copy.deepcopy(model.discriminators['zebra'])
    wrappers = optim_wrappers(model, optimizer=torch.optim.SGD, lr=1e-2)
    model.data_preprocessor.forward = lambda data, training: dict(
        inputs=dict(img_horse=source, img_zebra=target)
    )
    torch.manual_seed(3)
    log_vars = model.train_step(data, wrappers)

    translated, identity = generate(source), generate(target)
    fake, real = judge(translated.detach()), judge(target)
    loss_d = 0.5 * ((fake**2).mean() + ((real - 1) ** 2).mean())
    torch.optim.SGD(judge.parameters(), lr=1e-2).zero_grad()
    loss_d.backward()
    with torch.no_grad():
        for parameter in judge.parameters():
            parameter -= 1e-2 * parameter.grad
    torch.manual_seed(3)
    expected = dict(
        loss_gan_d=loss_d,
        # the generator faces the discriminator after its update
        loss_gan_g=((judge(translated) - 1) ** 2).mean(),
        loss_structure=model.structure_loss(source, translated),
        loss_identity=5.0 * (identity - target).abs().mean(),
        loss_structure_identity=0.5 * model.structure_loss(target, identity),
    )
    assert set(log_vars) == set(expected)
    for name, value in expected.items():
        assert log_vars[name].item() == pytest.approx(value.item(), rel=1e-9), name


@pytest.mark.parametrize(
    'gan_type, generator_loss, fake_loss, real_loss',
    [
        ('lsgan', lambda s: (s - 1) ** 2, lambda s: s**2, lambda s: (s - 1) ** 2),
        # 'vanilla' is the non-saturating logistic loss
        ('vanilla', lambda s: F.softplus(-s), F.softplus, lambda s: F.softplus(-s)),
        ('hinge', lambda s: -s, lambda s: F.relu(1 + s), lambda s: F.relu(1 - s)),
    ],
)
def test_gan_losses(gan_type, generator_loss, fake_loss, real_loss):
    model = one_sided(
        gan_loss=dict(type='GANLoss', gan_type=gan_type), structure_loss=None, buffer_size=0
    )
    source, target = torch.rand(2, 2, 3, 32, 32) * 2 - 1
    judge = model.discriminators['zebra']
    with torch.no_grad():
        translated = model.generators(source, domain='zebra')
        images = Images(source, target, translated)
        found_d = model._discriminator_losses(images)['loss_gan_d']
        found_g = model._generator_losses(images, ImageFeatures(), mirrored=False)['loss_gan_g']
        fake, real = judge(translated), judge(target)
    expected_d = 0.5 * (fake_loss(fake).mean() + real_loss(real).mean())
    torch.testing.assert_close(found_d, expected_d)
    torch.testing.assert_close(found_g, generator_loss(fake).mean())


def test_gradient_penalty_pulls_the_norm_to_one():
    model = one_sided(gradient_penalty_weight=10.0, structure_loss=None)
    log_vars = model.train_step(batch(), optim_wrappers(model))
    assert log_vars['loss_gradient_penalty'] > 0
    model.discriminators['zebra'] = torch.nn.Sequential(torch.nn.Flatten(), UnitSlope(3 * 32 * 32))
    images = torch.rand(2, 3, 32, 32)
    losses = model._discriminator_losses(Images(images, images, images.flip(3)))
    assert losses['loss_gradient_penalty'].item() == pytest.approx(0, abs=1e-6)


def test_the_gradient_penalty_sees_what_the_discriminator_sees():
    """An earlier translation of the image buffer, as in F-LSeSim, not the one of this step."""
    penalties = []
    for translated in torch.rand(2, 1, 3, 32, 32):
        model = one_sided(gradient_penalty_weight=1.0, structure_loss=None, buffer_size=1)
        buffer = model.image_buffers['zebra']
        buffer.images = torch.full((1, 3, 32, 32), 0.5)
        np.random.seed(next(s for s in range(9) if np.random.RandomState(s).random() < 0.5))
        torch.manual_seed(0)
        target = torch.zeros(1, 3, 32, 32)
        images = Images(target, target, translated)
        losses = model._discriminator_losses(images)
        assert torch.equal(buffer.images, translated)
        penalties.append(losses['loss_gradient_penalty'])
    assert torch.equal(*penalties)


class UnitSlope(torch.nn.Module):
    """A linear score whose gradient has norm 1 everywhere."""

    def __init__(self, inputs):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.full((inputs, 1), inputs**-0.5))

    def forward(self, x):
        return x @ self.weight


def test_generator_step_leaves_the_discriminator_alone():
    model = one_sided()
    wrappers = optim_wrappers(model)
    model.train_step(batch(), wrappers)
    assert all(p.grad is None or not p.grad.any() for p in model.discriminators.parameters())
    assert all(p.requires_grad for p in model.discriminators.parameters())


def test_ema_averages_and_translates():
    model = one_sided(ema=dict(momentum=0.25))
    wrappers = optim_wrappers(model)
    model.train_step(batch(), wrappers)
    first = weights(model.generators)
    model.train_step(batch(seed=1), wrappers)
    averaged = weights(model.generator_ema.module)
    torch.testing.assert_close(averaged, 0.75 * first + 0.25 * weights(model.generators))
    images = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        found = model.translate(images)
        torch.testing.assert_close(found, model.generator_ema.module['zebra'](images))
    assert any(key.startswith('generator_ema.') for key in model.state_dict())


@pytest.mark.parametrize('height, width', [(32, 32), (33, 50), (7, 5), (3, 30)])
def test_translates_any_size_in_eval_mode(height, width):
    model = one_sided(
        generator=dict(
            type='sesim_mmagic.ResNetBlurGenerator', base_channels=4, num_blocks=1, dropout=0.5
        )
    )
    images = torch.rand(1, 3, height, width)
    with torch.no_grad():
        outputs = [model.translate(images, 'zebra') for _ in range(2)]
    assert outputs[0].shape == images.shape
    assert torch.equal(outputs[0], outputs[1]), 'dropout was active'
    assert model.generators['zebra'].training, 'training mode was not given back'


def test_padding_is_invisible_where_the_size_fits():
    images = torch.rand(1, 3, 8, 12)
    assert pad_to_multiple(images, 4, 8) is images
    padded = pad_to_multiple(images[..., :7, :11], 4, 8)
    assert padded.shape == images.shape
    assert pad_to_multiple(images[..., :1, :11], 4, 8).shape == (1, 3, 8, 12)
    assert pad_to_multiple(images[..., :1, :11], 1).shape == (1, 3, 1, 11)
    torch.testing.assert_close(padded[..., :7, :11], images[..., :7, :11])


def test_samples_need_the_source_alone():
    model = one_sided()
    samples = model.test_step(batch(size=2, height=30, width=22, keys=('img_horse',)))
    assert len(samples) == 2
    for sample in samples:
        assert sample.fake_zebra.shape == (3, 30, 22)
        assert 0 <= sample.fake_zebra.min() and sample.fake_zebra.max() <= 255
        assert sample.img_horse.shape == (3, 30, 22)
    assert model.val_step(batch())[0].fake_zebra.shape == (3, 32, 32)


def test_inference_builds_without_losses_and_discriminator():
    model = one_sided(discriminator=None, structure_loss=None)
    assert model.discriminators is None
    assert model.translate(torch.rand(1, 3, 32, 32)).shape == (1, 3, 32, 32)


def test_checkpoint_holds_the_image_buffer():
    model = one_sided(buffer_size=3)
    wrappers = optim_wrappers(model)
    for seed in range(3):
        model.train_step(batch(seed=seed), wrappers)
    state = copy.deepcopy(model.state_dict())
    assert state['image_buffers.zebra.images'].shape == (3, 3, 32, 32)
    revived = one_sided(buffer_size=3)
    revived.load_state_dict(state)
    assert torch.equal(revived.image_buffers['zebra'].images, model.image_buffers['zebra'].images)
    assert not any('feature_net' in key for key in state)


def test_image_buffer_draws_as_the_host_does():
    from mmagic.models.editors.cyclegan.cyclegan_modules import GANImageBuffer

    from sesim_mmagic.translators.image_buffer import ImageBuffer

    ours, host = ImageBuffer(5), GANImageBuffer(5)
    for step in range(30):
        images = torch.full((2, 3, 4, 4), float(step)) + torch.tensor([0, 0.5]).view(2, 1, 1, 1)
        np.random.seed(step)
        expected = host.query(images)
        np.random.seed(step)
        assert torch.equal(ours.query(images), expected)
    assert torch.equal(ImageBuffer(0).query(images), images)


def test_amp_in_bfloat16():
    from sesim_mmagic.engine import CpuAmpOptimWrapper

    wrapper = AmpOptimWrapper if torch.cuda.is_available() else CpuAmpOptimWrapper
    model = one_sided()
    log_vars = model.train_step(batch(), optim_wrappers(model, wrapper))
    assert all(value.isfinite() for value in log_vars.values())
    assert weights(model.generators).dtype == torch.float32


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(target_domain='horse'), "are both 'horse'"),
        (dict(structure_loss=None, structure_identity_weight=1.0), 'needs a structure_loss'),
        (dict(buffer_size=-1), 'size must be a whole number, 0 or more, got -1'),
        (
            dict(data_preprocessor=dict(type='DataPreprocessor', output_channel_order='RGB')),
            'FSeSimLoss expects BGR images, the data preprocessor gives RGB',
        ),
    ],
)
def test_bad_settings(arguments, message):
    with pytest.raises(ValueError, match=message):
        one_sided(**arguments)


def test_channel_orders_that_agree():
    rgb = {**TINY_FSESIM, 'feature_net': {**TINY_VGG, 'channel_order': 'rgb'}}
    one_sided(
        structure_loss=rgb,
        data_preprocessor=dict(type='DataPreprocessor', output_channel_order='RGB'),
    )


def test_bad_batches():
    model = one_sided()
    wrappers = optim_wrappers(model)
    with pytest.raises(ValueError, match='the batch has no img_horse'):
        model.train_step(batch(keys=('img_A', 'img_B')), wrappers)
    data = batch()
    data['inputs']['img_horse'][1] = data['inputs']['img_horse'][1][:, :16]
    with pytest.raises(ValueError, match=r'differ in size .*\(16, 32\)'):
        model.train_step(data, wrappers)
