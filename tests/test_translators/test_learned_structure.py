"""A structure loss that learns, in every translator that takes one."""

import copy

import pytest
import torch
from mmengine import MessageHub
from mmengine.optim import OptimWrapper

from tests.test_translators.tiny import batch, cyclegan, one_sided, optim_wrappers, pix2pix
from tests.tiny import TINY_FSESIM, TINY_LSESIM

BUILDERS = dict(one_sided=one_sided, cyclegan=cyclegan, pix2pix=pix2pix)


@pytest.fixture(autouse=True)
def iteration_of_the_runner():
    MessageHub.get_current_instance().update_info('iter', 0)


def state(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize('build', BUILDERS.values(), ids=BUILDERS)
def test_a_step_trains_the_heads(build):
    model = build(structure_loss=TINY_LSESIM)
    before = state(model.structure_loss)
    assert before, 'the heads would not be in a checkpoint'
    log_vars = model.train_step(batch(), optim_wrappers(model))
    assert float(log_vars['loss_contrastive']) > 0
    assert any(float(value) > 0 for name, value in log_vars.items() if 'loss_structure' in name)
    after = state(model.structure_loss)
    assert all(not torch.equal(before[name], after[name]) for name in before if 'weight' in name)


@pytest.mark.parametrize('build', BUILDERS.values(), ids=BUILDERS)
def test_heads_learn_from_their_own_objective_alone(build):
    """With their learning rate at 0 they stay; the generator learns from the distance."""
    model = build(structure_loss=TINY_LSESIM)
    wrappers = optim_wrappers(model)
    wrappers['structure_loss'].param_groups[0]['lr'] = 0.0
    before = state(model.structure_loss), state(model.generators)
    model.train_step(batch(), wrappers)
    after = state(model.structure_loss), state(model.generators)
    assert all(torch.equal(before[0][name], after[0][name]) for name in before[0])
    assert any(not torch.equal(before[1][name], after[1][name]) for name in before[1])


def test_heads_then_discriminator_then_generator():
    steps = []

    class Noted(OptimWrapper):
        def step(self, **kwargs):
            steps.append(id(self))
            super().step(**kwargs)

    for build in BUILDERS.values():
        steps.clear()
        model = build(structure_loss=TINY_LSESIM)
        wrappers = optim_wrappers(model, Noted)
        model.train_step(batch(), wrappers)
        order = ('structure_loss', 'discriminators', 'generators')
        assert steps == [id(wrappers[key]) for key in order]


def test_a_step_is_what_the_paper_says():
    """Heads' objective and the generator's distance after their update, written out by hand."""
    model = one_sided(structure_loss=TINY_LSESIM, buffer_size=0).double()
    data = batch()
    images = {key: torch.stack(x).double() / 127.5 - 1 for key, x in data['inputs'].items()}
    source, target = images['img_horse'], images['img_zebra']
    source_view, target_view = 0.8 * source, 0.7 * target  # as the authors' pipeline hands them on
    model.data_preprocessor.forward = lambda data, training: dict(inputs=images)
    model.structure_loss.make_views = lambda *batches: (source_view, target_view)
    loss, generate = copy.deepcopy(model.structure_loss), copy.deepcopy(model.generators['zebra'])
    torch.manual_seed(3)
    log_vars = model.train_step(data, optim_wrappers(model, optimizer=torch.optim.SGD, lr=0.1))

    torch.manual_seed(3)
    translated = generate(source).detach()
    contrastive = loss.contrast(
        loss.extract(source),
        [loss.extract(translated), loss.extract(source_view)],
        [loss.extract(torch.flip(x, (2, 3))) for x in (target, target_view)],
    )
    contrastive.backward()
    with torch.no_grad():
        for parameter in loss.parameters():
            parameter -= 0.1 * parameter.grad
    assert log_vars['loss_contrastive'].item() == pytest.approx(contrastive.item(), rel=1e-9)
    expected = loss(source, translated).item()
    assert log_vars['loss_structure'].item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    'loss, settings, calls, images',
    [
        # source with its translation
        (TINY_FSESIM, {}, 2, 4),
        # ... and the view of the source, the target and its view
        (TINY_LSESIM, {}, 5, 10),
        ({**TINY_LSESIM, 'use_augmented_view': False}, {}, 3, 6),
        # ... and target with what the generator makes of it
        (TINY_LSESIM, dict(structure_identity_weight=1.0), 7, 14),
    ],
    ids=['fixed', 'learned', 'learned-without-views', 'identity'],
)
def test_features_of_an_image_are_extracted_once(loss, settings, calls, images):
    model = one_sided(structure_loss=loss, **settings)
    passes = []
    model.structure_loss.feature_net.register_forward_hook(
        lambda module, arguments, output: passes.append(
            (len(arguments[0]), next(iter(output.values())).requires_grad)
        )
    )
    model.train_step(batch(size=2), optim_wrappers(model))
    assert len(passes) == calls
    assert sum(size for size, _ in passes) == images
    with_graph = sum(requires_grad for _, requires_grad in passes)
    assert with_graph == (2 if settings else 1), 'real images need no graph'


def test_views_of_source_and_target_are_seen():
    """That of the source as it is; the target and its view turned by 180 degrees."""
    model, data = pix2pix(structure_loss=TINY_LSESIM), batch()
    source, target = (torch.stack(x) / 127.5 - 1 for x in data['inputs'].values())
    source_view, target_view = model.structure_loss.make_views(source, target)
    seen = []
    model.structure_loss.feature_net.register_forward_hook(
        lambda module, arguments, output: seen.append(arguments[0])
    )
    model.train_step(data, optim_wrappers(model))
    for wanted in (source, source_view, target.flip(2, 3), target_view.flip(2, 3)):
        assert any(torch.allclose(wanted, images, atol=1e-6) for images in seen)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='nothing to synchronise without a GPU')
@pytest.mark.parametrize('learned', [False, True])
def test_losses_do_not_wait_for_the_device(learned):
    config = TINY_LSESIM if learned else TINY_FSESIM
    model = one_sided(structure_loss=config).cuda()
    loss = model.structure_loss
    images = torch.rand(3, 2, 3, 32, 32, device='cuda')
    loss.extract(images[0])  # weights are drawn by now
    torch.cuda.set_sync_debug_mode('error')
    try:
        for _ in range(2):
            features = [loss.extract(x) for x in images[:2]]
            loss.compare(*features)
            if learned:
                loss(*features, images[0], images[2], mode='learn').backward()
    finally:
        torch.cuda.set_sync_debug_mode('default')


def test_batches_as_lists_of_samples():
    """MMEngine's pseudo_collate gives a dictionary, its other collate functions a list."""
    for build in (cyclegan, one_sided):
        logs = []
        for as_list in (False, True):
            model = build(structure_loss=TINY_LSESIM)
            data = batch()
            if as_list:
                samples = range(len(data['data_samples']))
                data['inputs'] = [{k: v[i] for k, v in data['inputs'].items()} for i in samples]
            torch.manual_seed(0)
            logs.append(model.train_step(data, optim_wrappers(model))['loss_contrastive'])
        assert torch.equal(*logs)


@pytest.mark.parametrize('build', BUILDERS.values(), ids=BUILDERS)
def test_missing_optimizer(build):
    model = build(structure_loss=TINY_LSESIM)
    wrappers = optim_wrappers(model)
    del wrappers.optim_wrappers['structure_loss']
    with pytest.raises(ValueError, match=r"LSeSimLoss learns.*give optim_wrapper a 'structure_lo"):
        model.train_step(batch(), wrappers)


def test_an_optimizer_without_an_objective():
    wrappers = optim_wrappers(one_sided(structure_loss=TINY_LSESIM))
    with pytest.raises(ValueError, match='FSeSimLoss has no objective of its own: take it out'):
        one_sided().train_step(batch(), wrappers)
