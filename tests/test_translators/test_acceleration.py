"""Mixed precision, channels-last, compilation and accumulation, with several optimizers."""

import copy

import pytest
import torch
from mmengine import MessageHub
from mmengine.optim import OptimWrapper

from sesim_mmagic.engine import CpuAmpOptimWrapper
from tests.test_translators.tiny import batch, cyclegan, one_sided, optim_wrappers, pix2pix
from tests.tiny import TINY_LSESIM, TINY_PROJECTED

BUILDERS = dict(one_sided=one_sided, cyclegan=cyclegan, pix2pix=pix2pix)
# Every position is a query: two batches then compare the same ones.
EVERYWHERE = {**TINY_LSESIM, 'num_patches': -1}


@pytest.fixture(autouse=True)
def iteration_of_the_runner():
    MessageHub.get_current_instance().update_info('iter', 0)


def trained(model, steps=2, **kwargs):
    """Losses of the last of a few steps."""
    wrappers = optim_wrappers(model, **kwargs)
    torch.manual_seed(0)
    for step in range(steps):
        log_vars = model.train_step(batch(seed=step), wrappers)
    return {name: value.detach() for name, value in log_vars.items()}


def reference(build, **settings):
    """Two models of equal weights, the second one with settings."""
    plain, fast = build(structure_loss=TINY_LSESIM), build(structure_loss=TINY_LSESIM, **settings)
    fast.load_state_dict(plain.state_dict())
    return plain, fast


@pytest.mark.parametrize('build', BUILDERS.values(), ids=BUILDERS)
def test_channels_last_computes_the_same(build):
    plain, fast = (model.double() for model in reference(build, channels_last=True))
    for name, parameter in fast.named_parameters():
        if parameter.dim() == 4:
            assert parameter.is_contiguous(memory_format=torch.channels_last), name
    assert fast.structure_loss.feature_net.network[0].weight.stride()[1] == 1
    found, expected = trained(fast), trained(plain)
    assert set(found) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, msg=name)


@pytest.mark.parametrize('build', BUILDERS.values(), ids=BUILDERS)
def test_compiled_networks_compute_the_same(build):
    """The whole way through the compiler but for the making of machine code."""
    compiled = []

    def noting(graph, inputs):
        compiled.append(graph)
        return graph.forward

    torch._dynamo.reset()  # graphs of other tests count towards its limit
    plain, fast = reference(build, compile=dict(backend=noting))
    networks = [*fast.generators.values(), *fast.discriminators.values()]
    networks.append(fast.structure_loss.feature_net)
    assert all(network._compiled_call_impl is not None for network in networks)
    assert list(fast.state_dict()) == list(plain.state_dict())
    found, expected = trained(fast), trained(plain)
    assert compiled, 'nothing was compiled'
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_everything_at_once():
    """bfloat16, channels-last, compiled and accumulated, three optimizers."""
    model = one_sided(
        structure_loss=TINY_LSESIM, channels_last=True, compile=dict(backend='aot_eager')
    )
    before = copy.deepcopy(model.state_dict())
    kwargs = dict(wrapper=CpuAmpOptimWrapper, accumulative_counts=2)
    log_vars = trained(model, steps=1, **kwargs)
    unchanged = [n for n, p in model.named_parameters() if torch.equal(p, before[n])]
    assert len(unchanged) == len(list(model.parameters())), 'updated too early'
    log_vars = trained(model, steps=2, **kwargs)
    assert all(value.isfinite() for value in log_vars.values())
    for name, parameter in model.named_parameters():
        assert parameter.dtype == torch.float32
        # A bias before an instance norm has no gradient.
        assert name.endswith('bias') or not torch.equal(parameter, before[name]), name


@pytest.mark.parametrize('build', BUILDERS.values(), ids=BUILDERS)
def test_bfloat16_trains_the_heads(build):
    model = build(structure_loss=TINY_LSESIM)
    exact = copy.deepcopy(model)
    found = trained(model, steps=1, wrapper=CpuAmpOptimWrapper)
    expected = trained(exact, steps=1)
    for name, value in expected.items():
        assert found[name].isfinite()
        torch.testing.assert_close(found[name].float(), value, rtol=0.1, atol=0.05, msg=name)
    moved = model.structure_loss.heads.state_dict()
    start = build(structure_loss=TINY_LSESIM).structure_loss.heads.state_dict()
    assert all(not torch.equal(moved[n], start[n]) for n in moved if 'weight' in n)


class Recording(OptimWrapper):
    """Keeps the gradients of every update."""

    def step(self, **kwargs):
        parameters = self.optimizer.param_groups[0]['params']
        self.gradients = [p.grad.clone() for p in parameters]
        super().step(**kwargs)


@pytest.mark.parametrize('frozen', [True, False], ids=['same-opponents', 'updated-opponents'])
def test_accumulation_is_a_larger_batch(frozen):
    """Four images at once, or two and two.

    Of the update of heads and discriminator this is always true. The generator faces them after
    their update, which in the first of two halves has not happened yet: there it is true where
    their learning rates are 0.
    """
    together = batch(size=4)
    halves = [
        dict(
            inputs={key: images[part] for key, images in together['inputs'].items()},
            data_samples=together['data_samples'][part],
        )
        for part in (slice(0, 2), slice(2, 4))
    ]
    gradients = []
    for batches in ([together], halves):
        model = one_sided(structure_loss=EVERYWHERE, buffer_size=0).double()
        # Views follow from the iteration and the number in its batch, which differ here.
        model.structure_loss.make_views = lambda *images: [0.8 * x for x in images]
        wrappers = optim_wrappers(
            model, Recording, torch.optim.SGD, accumulative_counts=len(batches)
        )
        for key in ('discriminators', 'structure_loss'):
            wrappers[key].param_groups[0]['lr'] = 0.0 if frozen else 0.1
        for data in copy.deepcopy(batches):
            model.train_step(data, wrappers)
        gradients.append({key: wrappers[key].gradients for key in wrappers.keys()})
    networks = ['discriminators', 'structure_loss'] + ['generators'] * frozen
    for network in networks:
        for one, accumulated in zip(*(g[network] for g in gradients), strict=True):
            torch.testing.assert_close(accumulated, one, rtol=1e-6, atol=1e-10, msg=network)


@pytest.mark.parametrize('weight', ['gradient_penalty_weight', 'r1_weight'])
def test_compiled_networks_cannot_have_a_gradient_penalty(weight):
    with pytest.raises(ValueError, match='differentiate twice.*set compile=False'):
        one_sided(**{weight: 1.0}, compile=True)
    beside = dict(more_discriminators=dict(projected={**TINY_PROJECTED, weight: 1.0}))
    with pytest.raises(ValueError, match='of model.more_discriminators.projected differentiate'):
        cyclegan(**beside, compile=True)
