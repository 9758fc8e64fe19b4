"""Gradients of batch and instance norm on the CPU are right however their tensors are stored."""

import itertools
import subprocess
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from sesim_mmagic.compat import torch_repairs

SHAPES = [(1, 4, 5, 6), (2, 4, 5, 6), (2, 4, 1, 6), (2, 4, 5, 1), (1, 1, 5, 6), (1, 3, 2, 5, 4)]
LAYOUTS = ('usual', 'odd', 'channels last', 'odd channels last', 'part of a larger tensor')


def stored(tensor, layout):
    """The same values in another order or, 'odd', with other strides of dimensions of size 1."""
    if layout == 'part of a larger tensor':
        return torch.cat([tensor, tensor], -1)[..., : tensor.shape[-1]]
    if 'channels last' in layout:
        tensor = tensor.movedim(1, -1).contiguous().movedim(-1, 1)
    sizes = zip(tensor.shape, tensor.stride(), strict=True)
    strides = [1 if 'odd' in layout and size == 1 else stride for size, stride in sizes]
    return tensor.as_strided(tensor.shape, strides)


def per_channel(vector, images):
    return vector.view(-1, *[1] * (images.dim() - 2))


def slow_norm(images, weight, bias, dims):
    """The definition, differentiated by autograd; 1e-5 is PyTorch's default."""
    variance, mean = torch.var_mean(images, dims, correction=0, keepdim=True)
    normed = (images - mean) / (variance + 1e-5).sqrt()
    return normed * per_channel(weight, images) + per_channel(bias, images)


def slow_eval_norm(images, weight, bias):
    normed = (images - 0.5) / (0.5 + 1e-5) ** 0.5
    return normed * per_channel(weight, images) + per_channel(bias, images)


def eval_norm(images, weight, bias):
    mean, variance = torch.full((2, images.shape[1]), 0.5, dtype=weight.dtype)
    return F.batch_norm(images, mean, variance, weight, bias)


NORMS = dict(
    batch_norm=(
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
        lambda x, w, b: slow_norm(x, w, b, [0, *range(2, x.dim())]),
    ),
    eval_batch_norm=(eval_norm, slow_eval_norm),
    instance_norm=(
        lambda x, w, b: F.instance_norm(x, None, None, w, b),
        lambda x, w, b: slow_norm(x, w, b, list(range(2, x.dim()))),
    ),
)


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize('norm, definition', NORMS.values(), ids=NORMS)
def test_every_layout_of_input_and_gradient(norm, definition, dtype):
    tolerance = {torch.float64: 1e-10, torch.float32: 1e-4, torch.bfloat16: 0.2}[dtype]
    for shape in SHAPES:
        images, gradient = torch.randn(2, *shape).to(dtype)
        affine = [torch.rand(shape[1]) + 0.5, torch.randn(shape[1])]
        affine = [vector.to(dtype) for vector in affine]
        exact = [t.double().requires_grad_() for t in (images, *affine)]
        expected = torch.autograd.grad(definition(*exact), exact, gradient.double())
        for layouts in itertools.product(LAYOUTS, LAYOUTS):
            given = [t.detach().requires_grad_() for t in (stored(images, layouts[0]), *affine)]
            found = torch.autograd.grad(norm(*given), given, stored(gradient, layouts[1]))
            for one, other in zip(found, expected, strict=True):
                scale = max(1.0, float(other.abs().max()))
                assert float((one - other).abs().max()) < tolerance * scale, (shape, layouts)


def patches(features):
    """What PatchNCE takes: its gradient comes with the channels innermost."""
    return features.flatten(2).mT[:, [0, 3, 5]].square()


@pytest.mark.parametrize('norm', [norm for norm, _ in NORMS.values()], ids=NORMS)
def test_norms_can_be_differentiated_twice(norm):
    tensors = [torch.randn(1, 2, 2, 3), torch.rand(2) + 0.5, torch.randn(2)]
    tensors = [tensor.double().requires_grad_() for tensor in tensors]
    assert torch.autograd.gradcheck(lambda *t: patches(norm(*t)), tensors)
    assert torch.autograd.gradgradcheck(lambda *t: patches(norm(*t)), tensors)


def surroundings(network, images):
    """The ways in which a training may call a network."""
    yield 'plain', network
    yield 'checkpointed', lambda x: checkpoint(network, x, use_reentrant=False)
    yield 'compiled', torch.compile(network, backend='aot_eager')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # both are deprecated
        yield 'scripted', torch.jit.script(network)
        yield 'traced', torch.jit.trace(network, images)
    yield 'functional', lambda x: torch.func.functional_call(network, {}, x)


def test_gradients_are_right_wherever_norms_are_called():
    """A batch of one; the gradient of patches comes with the channels innermost."""
    network = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.InstanceNorm2d(4), nn.Conv2d(4, 4, 1),
        nn.BatchNorm2d(4, track_running_stats=False), nn.ReLU(),
    ).double()  # fmt: skip
    images = torch.randn(1, 3, 4, 5, dtype=torch.float64)
    weights = [w for name, w in network.named_parameters() if name not in ('0.bias', '2.bias')]

    def gradients(call):
        return torch.cat([g.flatten() for g in torch.autograd.grad(call(), weights)])

    def slow():
        x = images
        for layer, dims in ((network[0], (2, 3)), (network[2], (0, 2, 3))):
            x = slow_norm(layer(x), *affine[dims], dims)
        return patches(x.relu()).sum()

    affine = {(2, 3): (torch.ones(4), torch.zeros(4)), (0, 2, 3): network[3].parameters()}
    affine = {dims: list(pair) for dims, pair in affine.items()}
    expected = gradients(slow)
    for layout in (torch.contiguous_format, torch.channels_last):
        network.to(memory_format=layout)
        for name, call in surroundings(network, images):
            found = gradients(lambda call=call: patches(call(images)).sum())
            torch.testing.assert_close(found, expected, msg=lambda m, n=name: f'{n}: {m}')


def test_half_precision_of_autocast():
    network = nn.Sequential(nn.Conv2d(3, 8, 1), nn.InstanceNorm2d(8, affine=True))
    images = torch.randn(1, 3, 8, 8)
    found = {}
    for enabled in (False, True):
        with torch.autocast('cpu', torch.bfloat16, enabled=enabled):
            loss = patches(network(images)).float().sum()
        found[enabled] = torch.autograd.grad(loss, network[0].weight)[0].flatten()
    assert F.cosine_similarity(found[True], found[False], dim=0) > 0.99


def test_a_healthy_pytorch_is_left_alone(applied):
    torch_repairs.repair_batch_norm_backward(torch)  # healthy by now
    assert applied == []


def test_a_pytorch_that_cannot_be_repaired_says_so(applied, monkeypatch):
    monkeypatch.setattr(torch_repairs, '_misreads_gradients', lambda *_: True)
    monkeypatch.delattr(torch.library, 'get_kernel')
    with pytest.warns(UserWarning, match='wrong gradients .* repaired from PyTorch 2.9 on: update'):
        torch_repairs.repair_batch_norm_backward(torch)
    assert applied == []


def test_the_repair_comes_with_the_package_where_pytorch_needs_it(python, tmp_path):
    """Seen to be needed by PyTorch 2.11 to 2.14."""
    script = """
import torch
native_batch_norm_backward = torch.ops.aten.native_batch_norm_backward
images, gradient = torch.randn(1, 4, 5, 6), torch.randn(1, 5, 6, 4).movedim(-1, 1)
gradient = gradient.as_strided(gradient.shape, (4, *gradient.stride()[1:]))
one = torch.ones(4)
def backward(gradient):
    return native_batch_norm_backward(
        gradient, images, one, 0 * one, one, None, None, False, 1e-5, [True] * 3)[0]
healthy = torch.allclose(backward(gradient), backward(gradient.contiguous()))
import sesim_mmagic
assert ('batch_norm_backward' in sesim_mmagic.compat.applied) is not healthy
assert torch.equal(backward(gradient), backward(gradient.contiguous()))
"""
    command = [python, '-W', 'error', '-c', script]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
