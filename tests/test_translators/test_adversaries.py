"""Several discriminators in one translator, and what they are shown."""

import copy
import logging

import pytest
import torch
import torch.nn.functional as F
from mmengine import MessageHub
from mmengine.logging import MMLogger
from torch import nn

from sesim_mmagic.engine import CpuAmpOptimWrapper
from sesim_mmagic.functional import augment
from sesim_mmagic.translators import adversary, gradient_watch
from sesim_mmagic.translators.feature_weights import KEY, check_features, feature_checksums
from tests.test_translators.tiny import batch, cyclegan, multi_modal, one_sided, optim_wrappers
from tests.tiny import TINY_FSESIM, TINY_PROJECTED

BUILDERS = dict(
    one_sided=one_sided,
    multi_modal=multi_modal,
    cyclegan=lambda **kwargs: cyclegan(structure_loss=TINY_FSESIM, **kwargs),
)
EVERYTHING = dict(colour=True, translation=0.125, cutout=0.5)
BESIDE = dict(projected={**TINY_PROJECTED, 'augmentation': EVERYTHING})
every_translator = pytest.mark.parametrize('build', BUILDERS.values(), ids=BUILDERS)


@pytest.fixture(autouse=True)
def iteration_of_the_runner():
    MessageHub.get_current_instance().update_info('iter', 0)


def step(model, seed=0, **kwargs):
    torch.manual_seed(seed)
    return model.train_step(batch(2, 16, 16, seed), optim_wrappers(model, **kwargs))


@every_translator
def test_all_discriminators_train_and_are_logged(build):
    """In bfloat16; float32 comes below and on two ranks."""
    model = build(more_discriminators=BESIDE, augmentation=EVERYTHING, ema=dict(momentum=0.1))
    before = copy.deepcopy(model.discriminators.state_dict())
    log_vars = step(model, wrapper=CpuAmpOptimWrapper)
    alone = set(step(build()))
    ends = [f'_{domain}' for domain in model.domains] if build is BUILDERS['cyclegan'] else ['']
    added = {f'loss_gan_{role}_projected{end}' for role in 'dg' for end in ends}
    assert set(log_vars) == alone | added and not alone & added
    assert all(torch.as_tensor(value).isfinite() for value in log_vars.values())
    for domain in model.domains:
        for name, weight in model.discriminators[f'{domain}:projected'].named_parameters():
            changed = not torch.equal(before[f'{domain}:projected.{name}'], weight)
            assert changed or name.endswith('4.bias'), name  # hinge: real and fake cancel


@every_translator
def test_another_one_leaves_the_names_of_the_first(build):
    names = set(build(more_discriminators=BESIDE).state_dict())
    assert {name for name in names if ':' not in name} == set(build().state_dict())
    assert not any('feature_net' in name or 'projections' in name for name in names)


@every_translator
def test_channels_last_computes_the_same(build):
    # Every position is a query, and nothing is drawn where shapes agree.
    settings = dict(structure_loss={**TINY_FSESIM, 'num_patches': -1}, more_discriminators=BESIDE)
    build = cyclegan if build is BUILDERS['cyclegan'] else build
    plain, fast = build(**settings), build(**settings, channels_last=True)
    fast.load_state_dict(plain.state_dict())
    expected, found = step(plain.double()), step(fast.double())
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, msg=name)


def test_losses_are_what_the_papers_say():
    model = one_sided(more_discriminators=dict(projected=TINY_PROJECTED), buffer_size=0).double()
    model.eval()  # spectral norms then stay
    network = model.discriminators['zebra:projected']
    real, fake = torch.rand(2, 2, 3, 16, 16).double() * 2 - 1
    fine, coarse = zip(network(real), network(fake), strict=True)
    judged = model.discriminators, 'zebra'
    found = model.adversaries.discriminator_losses(*judged, real, fake)
    hinge = [F.relu(1 - r).mean() + F.relu(1 + f).mean() for r, f in (fine, coarse)]
    torch.testing.assert_close(found['loss_gan_d_projected'], sum(hinge) / 2)
    found = model.adversaries.generator_losses(*judged, fake)
    expected = -0.03 * (fine[1].mean() + coarse[1].mean()) / 2
    torch.testing.assert_close(found['loss_gan_g_projected'], expected)


def test_a_first_discriminator_of_several_scales():
    """Losses of the scales are summed, a penalty is that of the sum of all scores."""
    model = one_sided(
        discriminator=TINY_PROJECTED['network'], r1_weight=2.0, buffer_size=0, structure_loss=None
    ).eval()
    real = torch.rand(2, 3, 16, 16) * 2 - 1
    network = model.discriminators['zebra']
    assert set(step(model)) == {'loss_gan_d', 'loss_gan_g', 'loss_r1'}
    losses = model.adversaries.generator_losses(model.discriminators, 'zebra', real)
    expected = sum(((scores - 1) ** 2).mean() for scores in network(real))
    torch.testing.assert_close(losses['loss_gan_g'], expected)

    images = real.clone().requires_grad_()
    slope = torch.autograd.grad(sum(scores.sum() for scores in network(images)), images)[0]
    scores = model.adversaries.all[0].joined_scores(model.discriminators, 'zebra', images)
    assert torch.allclose(torch.autograd.grad(scores.sum(), images)[0], slope)


@every_translator
def test_each_discriminator_may_have_penalties(build):
    """Half the squared gradient of the sum of all scores, the mean over pictures."""
    beside = dict(projected={**TINY_PROJECTED, 'r1_weight': 3.0})
    model = build(more_discriminators=beside).eval()  # spectral norms then stay
    images = batch(2, 16, 16)['inputs']
    real = {
        domain: (torch.stack(images[f'img_{domain}']).float() / 127.5 - 1).requires_grad_()
        for domain in model.domains
    }
    expected = {}
    for domain, pictures in real.items():
        scores = model.discriminators[f'{domain}:projected'](pictures)
        slope = torch.autograd.grad(sum(score.sum() for score in scores), pictures)[0]
        expected[domain] = 1.5 * slope.square().sum((1, 2, 3)).mean().item()
    found = {name: value.item() for name, value in step(model).items() if 'r1' in name}
    if build is BUILDERS['cyclegan']:
        wanted = {f'loss_r1_projected_{domain}': value for domain, value in expected.items()}
    else:
        wanted = dict(loss_r1_projected=sum(expected.values()))
    assert found == pytest.approx(wanted, rel=1e-4)


def test_a_gradient_penalty_beside_another():
    beside = dict(projected={**TINY_PROJECTED, 'gradient_penalty_weight': 1.0})
    losses = step(one_sided(more_discriminators=beside, gradient_penalty_weight=1.0))
    assert losses['loss_gradient_penalty'] != losses['loss_gradient_penalty_projected'] > 0
    assert 'loss_gradient_penalty' in step(multi_modal(gradient_penalty_weight=1.0))


@every_translator
def test_real_and_translated_pictures_are_augmented_alike(build, monkeypatch):
    calls = []

    def noted(images, **settings):
        calls.append(settings)
        return augment(images, **settings)

    monkeypatch.setattr(adversary, 'augment', noted)
    model = build(more_discriminators=BESIDE, augmentation=dict(cutout=0.25))
    step(model)
    per_domain = 3  # translated and real for the discriminator, translated for the generator
    for settings in (EVERYTHING, dict(cutout=0.25)):
        assert calls.count(settings) == per_domain * len(model.domains)


def test_domains_are_renamed_for_all_discriminators():
    from sesim_mmagic.engine.domain_mapping import domains_of, rename_domains

    weights = one_sided(more_discriminators=BESIDE).state_dict()
    renamed = rename_domains(weights, dict(zebra='okapi'))
    assert domains_of(renamed) == ['okapi']
    assert not any('zebra' in name for name in renamed)
    assert any(name.startswith('discriminators.okapi:projected.heads.') for name in renamed)


@pytest.fixture
def warnings(monkeypatch):
    """What is logged as a warning; every step is watched."""
    monkeypatch.setattr(gradient_watch, '_INTERVAL', 1)
    found = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: found.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield found
    logger.removeHandler(handler)


@every_translator
def test_gradients_that_drown_all_others_are_told_once(build, warnings):
    loud = dict(projected={**TINY_PROJECTED, 'weight': 1e6})
    model = build(more_discriminators=loud)
    for seed in range(3):
        step(model, seed)
    (line,) = warnings
    assert line.startswith('model.more_discriminators.projected: at the translations the gradient')


def test_watching_changes_nothing(warnings, monkeypatch):
    states = []
    for interval in (1, 10**9):
        monkeypatch.setattr(gradient_watch, '_INTERVAL', interval)
        model = one_sided(more_discriminators=BESIDE)
        step(model), step(model, 1)
        states.append(model.state_dict())
    assert not warnings
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(augmentation=dict(rotation=1)), "augmentation must be without 'rotation': it has co"),
        (dict(augmentation=dict(cutout=2)), 'augmentation.cutout must be .* at most 1, got 2'),
        (dict(augmentation=dict(colour=1)), 'augmentation.colour must be True or False, got 1'),
        (dict(more_discriminators=[1]), 'more_discriminators must be a dictionary or None'),
        (dict(more_discriminators=dict(a=dict(weight=1))), 'discriminators.a must have a name'),
        (dict(more_discriminators={'a.b': TINY_PROJECTED}), 'a name of letters and digits'),
        (dict(more_discriminators={1: TINY_PROJECTED}), 'a name of letters and digits'),
        (dict(more_discriminators=dict(a=dict(network='PatchGAN'))), 'a must have .* a network'),
        (
            dict(more_discriminators=dict(a={**TINY_PROJECTED, 'r1_weight': -1})),
            'more_discriminators.a.r1_weight must be .* at least 0, got -1',
        ),
        (
            dict(more_discriminators=dict(a={**TINY_PROJECTED, 'wieght': 1})),
            "more_discriminators.a.settings must be without 'wieght': it has network, weight",
        ),
        (
            dict(more_discriminators=dict(a={**TINY_PROJECTED, 'weight': -1})),
            'more_discriminators.a.weight must be a finite number at least 0, got -1',
        ),
        (
            dict(more_discriminators=dict(a={**TINY_PROJECTED, 'augmentation': dict(cutout=-1)})),
            'more_discriminators.a.augmentation.cutout must be .* at least 0',
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize('build', [one_sided, cyclegan])
def test_bad_settings(build, settings, message):
    with pytest.raises(ValueError, match=message):
        build(**settings)


def test_the_order_of_channels_is_checked():
    network = copy.deepcopy(TINY_PROJECTED)
    network['network']['feature_net']['channel_order'] = 'rgb'
    with pytest.raises(ValueError, match='ProjectedDiscriminator expects RGB images'):
        one_sided(more_discriminators=dict(projected=network))


def test_weights_of_features_are_looked_for_by_their_setting():
    model = one_sided(more_discriminators=BESIDE)
    assert set(model.feature_users) == {'structure_loss', 'more_discriminators.projected'}
    model = cyclegan(discriminator=TINY_PROJECTED['network'])
    assert set(model.feature_users) == {'discriminator'}


def test_heads_do_not_go_on_with_another_mixing():
    """Fixed weights are known by one name, whatever wraps the networks that train."""
    model = one_sided(more_discriminators=BESIDE)
    saved = {KEY: feature_checksums(model)}
    assert 'discriminators.zebra:projected.feature_net' in saved[KEY]
    model.discriminators = nn.DataParallel(model.discriminators)
    check_features(model, saved, 'iter_4.pth')
    network = {**TINY_PROJECTED['network'], 'seed': 1}
    other = one_sided(more_discriminators=dict(projected=dict(network=network)))
    message = "'iter_4.pth' was .* other weights of discriminators.zebra:projected .*seed as it was"
    for wrap in (lambda discriminators: discriminators, nn.DataParallel):
        other.discriminators = wrap(other.discriminators)
        with pytest.raises(ValueError, match=message):
            check_features(other, saved, 'iter_4.pth')
