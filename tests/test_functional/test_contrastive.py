import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sesim_mmagic.functional import info_nce, self_similarity
from tests.golden import field, printed, smooth

# Patch size, normalized: loss, norm of its gradient by the target features; computed with the
# authors' code (float32, CPU).
GOLDEN = [
    (8, True, 1.1369637, 1.6879758),
    (8, False, 1.1172916, 1.9769014),
    (64, True, 0.5010629, 1.0962784),
    (64, False, 0.5454613, 1.2530344),
]


@pytest.mark.parametrize('patch_size, normalize, loss, gradient', GOLDEN)
def test_golden_values(patch_size, normalize, loss, gradient):
    source = smooth(field((2, 8, 16, 16), 1))
    target = (source + 0.5 * smooth(field((2, 8, 16, 16), 2))).requires_grad_()
    other = smooth(field((2, 8, 16, 16), 3))
    positions = (37 * torch.arange(32)) % 256
    maps = [self_similarity(x, positions, patch_size, normalize) for x in (source, target, other)]
    value = info_nce(*maps, temperature=0.07)
    value.backward()
    assert value.item() == pytest.approx(loss, abs=printed(loss))
    assert target.grad.norm().item() == pytest.approx(gradient, abs=printed(gradient))


def looped_info_nce(query, positive, other, temperature, reduction='mean'):
    """Every row on its own, in the words of the formula."""
    losses = []
    for image in range(len(query)):
        q, p = query[image], positive[image]
        o = query.new_zeros(0, q.shape[1]) if other is None else other[image]

        def cosine(a, b):
            return (a @ b) / (a.norm() * b.norm())

        for n in range(len(q)):
            scores = [cosine(q[n], row) for row in [*p, *o]] + [cosine(p[n], row) for row in o]
            scores = torch.stack(scores) / temperature
            losses.append(scores.exp().sum().log() - scores[n])
    losses = torch.stack(losses)
    return losses.mean() if reduction == 'mean' else losses.view(query.shape[:2])


@pytest.mark.parametrize('others', [None, 1, 7], ids=['none', 'one', 'more-than-rows'])
def test_agrees_with_looped_reference(others):
    torch.manual_seed(0)
    query, positive = torch.randn(2, 3, 5, 6, dtype=torch.float64)
    query.requires_grad_()
    other = None if others is None else torch.randn(3, others, 6, dtype=torch.float64)
    values = [form(query, positive, other, 0.3) for form in (info_nce, looped_info_nce)]
    gradients = [torch.autograd.grad(value, query)[0] for value in values]
    torch.testing.assert_close(values[0], values[1])
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize('others', [None, 2])
def test_losses_of_single_rows(others):
    torch.manual_seed(0)
    query, positive = torch.randn(2, 3, 5, 6, dtype=torch.float64)
    other = None if others is None else torch.randn(3, others, 6, dtype=torch.float64)
    rows = info_nce(query, positive, other, 0.3, reduction='none')
    assert rows.shape == (3, 5)
    torch.testing.assert_close(rows, looped_info_nce(query, positive, other, 0.3, 'none'))
    with pytest.raises(ValueError, match="reduction must be one of .* got 'sum'"):
        info_nce(query, positive, reduction='sum')


@pytest.mark.parametrize('others', [None, 4])
def test_gradcheck(others):
    torch.manual_seed(0)
    rows = [torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    if others:
        rows.append(torch.randn(2, others, 4, dtype=torch.float64, requires_grad=True))
    assert torch.autograd.gradcheck(lambda *r: info_nce(*r, temperature=0.5), rows)


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(1, 6), keys=st.integers(2, 9), seed=st.integers(0, 99))
def test_properties(rows, keys, seed):
    """Lengths of rows do not matter, nor their order; more negatives never make it easier."""
    generator = torch.Generator().manual_seed(seed)
    query, positive, other = (
        torch.randn(2, rows, keys, generator=generator, dtype=torch.float64) for _ in range(3)
    )
    value = info_nce(query, positive, other)
    torch.testing.assert_close(info_nce(3 * query, 0.1 * positive, 7 * other), value)
    order = torch.randperm(rows, generator=generator)
    torch.testing.assert_close(info_nce(query[:, order], positive[:, order], other), value)
    assert 0 <= info_nce(query, positive) <= value


def test_the_pair_of_another_image_is_no_negative():
    """Images of a batch do not see each other."""
    torch.manual_seed(0)
    query, positive, other = torch.randn(3, 2, 4, 6)
    alone = [info_nce(*(x[i : i + 1] for x in (query, positive, other))) for i in range(2)]
    torch.testing.assert_close(info_nce(query, positive, other), sum(alone) / 2)


def test_half_precision_is_computed_in_full():
    torch.manual_seed(0)
    rows = torch.randn(3, 2, 8, 16)
    exact = info_nce(*rows)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert info_nce(*rows) == exact
        assert info_nce(*rows.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize(
    'query, positive, other, temperature, message',
    [
        ((2, 3, 4), (2, 3, 5), None, 0.1, 'one shape'),
        ((3, 4), (3, 4), None, 0.1, 'one shape'),
        ((2, 3, 4), (2, 3, 4), (2, 3, 5), 0.1, r'other must have shape .* = \(2, M, 4\)'),
        ((2, 3, 4), (2, 3, 4), (1, 3, 4), 0.1, r'other must have shape'),
        ((2, 3, 4), (2, 3, 4), None, 0, 'temperature must be positive, got 0'),
    ],
)
def test_bad_arguments(query, positive, other, temperature, message):
    with pytest.raises(ValueError, match=message):
        info_nce(
            torch.rand(query),
            torch.rand(positive),
            None if other is None else torch.rand(other),
            temperature,
        )
