"""PatchNCE in the translators: it looks through the generator and trains with it."""

import pytest
import torch
from mmengine import MessageHub

from sesim_mmagic.engine import CpuAmpOptimWrapper
from tests.test_translators.tiny import TINY_RESNET, batch, cyclegan, one_sided, optim_wrappers
from tests.tiny import TINY_FSESIM, TINY_PATCH_NCE

EVERY_PATCH = {**TINY_PATCH_NCE, 'num_patches': -1}
BUILDERS = dict(
    one_sided=lambda **kwargs: one_sided(structure_loss=EVERY_PATCH, **kwargs),
    cyclegan=lambda: cyclegan(structure_loss=EVERY_PATCH, generator=TINY_RESNET),
)


@pytest.fixture(autouse=True)
def iteration_of_the_runner():
    MessageHub.get_current_instance().update_info('iter', 0)


@pytest.mark.parametrize('build', BUILDERS.values(), ids=BUILDERS)
def test_a_step_trains_the_perceptrons(build):
    model = build()
    before = {name: t.clone() for name, t in model.structure_loss.state_dict().items()}
    model.train_step(batch(), optim_wrappers(model))
    after = model.structure_loss.state_dict()
    assert before and all(not torch.equal(before[n], after[n]) for n in before if 'weight' in n)


@pytest.mark.parametrize('build', BUILDERS.values(), ids=BUILDERS)
def test_perceptrons_without_optimizer(build):
    model, plain = build(), one_sided(structure_loss=None)
    wrappers = optim_wrappers(model)
    wrappers.optim_wrappers['generators'] = optim_wrappers(plain)['generators']
    with pytest.raises(ValueError, match=r"optim_wrapper.generators.modules=\['generators', "):
        model.train_step(batch(), wrappers)


def normalized(data, key):
    return torch.stack(data['inputs'][key]).float() / 127.5 - 1


def expected_losses(mirrored):
    """Structure and identity term of the first step, computed the long way."""
    model, data = BUILDERS['one_sided'](), batch()
    generator, loss = model.generators['zebra'], model.structure_loss
    losses = []
    for key in ('img_horse', 'img_zebra'):
        images = normalized(data, key)
        translated = generator(images.flip(3) if mirrored else images)
        looks = [generator.encode(i, loss.layers) for i in (images, translated)]
        if mirrored:
            looks[1] = [features.flip(3) for features in looks[1]]
        losses.append(loss.compare(*looks).item())
    return losses


@pytest.mark.parametrize('mirrored', [False, True])
def test_what_is_compared(mirrored):
    """Every other batch is mirrored where flip equivariance is asked for."""
    seeds = {bool(torch.manual_seed(s) and torch.rand(()) < 0.5): s for s in range(10)}
    found = {}
    for flips in (True, False):
        model = BUILDERS['one_sided'](structure_identity_weight=2.0, flip_equivariance=flips)
        wrappers = optim_wrappers(model)
        torch.manual_seed(seeds[mirrored])
        log_vars = model.train_step(batch(), wrappers)
        found[flips] = [float(log_vars[f'loss_structure{e}']) for e in ('', '_identity')]
    for flips, losses in found.items():
        structure, identity = expected_losses(mirrored and flips)
        assert losses == pytest.approx([structure, 2 * identity], rel=1e-4)


def test_identity_is_compared_with_what_the_generator_saw():
    """A mirrored batch: the pixels of the identity term are mirrored on both sides."""
    model = one_sided(structure_loss=None, identity_weight=1.0, flip_equivariance=True)
    seed = next(s for s in range(10) if torch.manual_seed(s) and torch.rand(()) < 0.5)
    target = normalized(batch(), 'img_zebra').flip(3)
    expected = (model.generators['zebra'](target) - target).abs().mean().item()
    torch.manual_seed(seed)
    log_vars = model.train_step(batch(), optim_wrappers(model))
    assert float(log_vars['loss_identity']) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize('identity, encoded', [(0.0, 1), (1.0, 2)])
def test_source_and_target_are_not_encoded_again(identity, encoded, monkeypatch):
    model = BUILDERS['one_sided'](structure_identity_weight=identity)
    generator, calls = model.generators['zebra'], []
    encode = generator.encode
    monkeypatch.setattr(
        generator, 'encode', lambda *args: calls.append(1) or encode(*args), raising=True
    )
    model.train_step(batch(), optim_wrappers(model))
    assert len(calls) == encoded


@pytest.mark.parametrize('mirrored', [False, True])
def test_mixed_precision_loses_no_gradient(mirrored):
    """Weights that autocast casts for the source's features have to keep their graph."""
    gradients = {}
    for wrapper in ('plain', 'amp'):
        model = BUILDERS['one_sided'](flip_equivariance=mirrored, gan_loss=None)
        kwargs = dict(wrapper=CpuAmpOptimWrapper) if wrapper == 'amp' else {}
        wrappers = optim_wrappers(model, optimizer=torch.optim.SGD, lr=0.0, **kwargs)
        wrappers['generators'].zero_grad = lambda **_: None
        torch.manual_seed(1)
        model.train_step(batch(), wrappers)
        gradients[wrapper] = [
            parameter.grad.norm().item()
            for name, parameter in model.named_parameters()
            if name.endswith('weight') and not name.startswith('discriminators')
        ]
    assert gradients['amp'] == pytest.approx(gradients['plain'], rel=0.2)


def test_widths_are_checked_before_the_training():
    wrong = {**TINY_PATCH_NCE, 'channels': (3, 8, 16, 32)}
    with pytest.raises(ValueError, match=r'set structure_loss.channels=\(3, 8, 16, 16\)'):
        one_sided(structure_loss=wrong)
    with pytest.raises(ValueError, match='ResnetGenerator has no encode'):
        cyclegan(structure_loss=TINY_PATCH_NCE)


def test_other_losses_take_mirrored_batches_too():
    model = one_sided(structure_loss=TINY_FSESIM, flip_equivariance=True)
    for seed in range(3):
        torch.manual_seed(seed)
        log_vars = model.train_step(batch(), optim_wrappers(model))
        assert torch.isfinite(torch.stack([value for value in log_vars.values()])).all()


def test_moving_average_of_cyclegan_does_the_inference():
    model = cyclegan(ema=dict(momentum=0.3))
    wrappers = optim_wrappers(model, lr=0.05)
    weights = []
    for seed in range(2):
        model.train_step(batch(seed=seed), wrappers)
        weights.append(next(model.generators['zebra'].parameters()).detach().clone())
    average = next(model.generator_ema.module['zebra'].parameters())
    assert torch.allclose(average, 0.7 * weights[0] + 0.3 * weights[1])
    images = normalized(batch(), 'img_horse')
    found = model.translate(images, 'zebra')
    assert torch.equal(found, model.generator_ema.module['zebra'](images))
    assert not torch.equal(found, model.generators['zebra'](images))
