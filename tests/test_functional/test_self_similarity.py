import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sesim_mmagic.functional import sample_positions, self_similarity, spatial_distance
from tests.golden import field, printed, smooth
from tests.test_functional.looped_reference import looped_self_similarity, looped_spatial_distance

# Patch size, normalized, distance: mean of the source map, loss, norm of its gradient by the
# target features; computed with the authors' code (float32, CPU).
GOLDEN = [
    (8, True, 'cos', 0.2410705, 0.0209157, 0.0486287),
    (8, True, 'l1', 0.2410705, 0.1163555, 0.1331401),
    (8, False, 'cos', 0.0003619, 0.0009487, 0.0087547),
    (64, True, 'cos', 0.0010748, 0.0735927, 0.0989752),
    (64, True, 'l1', 0.0010748, 0.1623946, 0.1147005),
    (64, False, 'cos', 0.0, 0.0046659, 0.0184713),
]


def golden_features():
    source = smooth(field((2, 8, 16, 16), 1))
    target = source + 0.5 * smooth(field((2, 8, 16, 16), 2))
    return source, target


@pytest.mark.parametrize('patch_size, normalize, distance, mean, loss, gradient', GOLDEN)
def test_golden_values(patch_size, normalize, distance, mean, loss, gradient):
    source, target = golden_features()
    target.requires_grad_()
    positions = (37 * torch.arange(32)) % 256
    source_map = self_similarity(source, positions, patch_size, normalize)
    target_map = self_similarity(target, positions, patch_size, normalize)
    value = spatial_distance(source_map, target_map, distance, normalize)
    value.backward()
    assert source_map.shape == (2, 32, min(patch_size, 16) ** 2)
    assert source_map.mean().item() == pytest.approx(mean, abs=printed(mean))
    assert value.item() == pytest.approx(loss, abs=printed(loss))
    assert target.grad.norm().item() == pytest.approx(gradient, abs=printed(gradient))


@pytest.mark.parametrize('normalize', [True, False])
@pytest.mark.parametrize('distance', ['cos', 'l1'])
@pytest.mark.parametrize(
    'height, width, patch_size',
    [(9, 14, 4), (14, 9, 5), (6, 11, 6), (11, 6, 7), (7, 7, 64), (5, 12, 2)],
    ids=['wide-even', 'tall-odd', 'as-high-as-map', 'wider-than-map', 'larger', 'smallest'],
)
def test_agrees_with_looped_reference(height, width, patch_size, distance, normalize):
    torch.manual_seed(height * width)
    source = torch.randn(3, 6, height, width, dtype=torch.float64)
    target = (source + 0.3 * torch.randn_like(source)).requires_grad_()
    positions = sample_positions(height, width, 13)
    values, gradients = [], []
    for similarity, compare in (
        (self_similarity, spatial_distance),
        (looped_self_similarity, looped_spatial_distance),
    ):
        maps = [similarity(x, positions, patch_size, normalize) for x in (source, target)]
        value = compare(*maps, distance, normalize)
        values.append(torch.stack([value.detach(), maps[0].sum(), maps[1].detach().sum()]))
        gradients.append(torch.autograd.grad(value, target)[0])
    torch.testing.assert_close(values[0], values[1], rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize('normalize', [True, False])
@pytest.mark.parametrize('distance', ['cos', 'l1'])
def test_distances_of_single_queries(distance, normalize):
    torch.manual_seed(0)
    maps = torch.randn(2, 3, 7, 12, dtype=torch.float64)
    rows = spatial_distance(*maps, distance, normalize, reduction='none')
    looped = looped_spatial_distance(*maps, distance, normalize, reduction='none')
    assert rows.shape == (3, 7) and rows.std() > 0.01
    torch.testing.assert_close(rows, looped)
    torch.testing.assert_close(rows.mean(), spatial_distance(*maps, distance, normalize))


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    patch_size=st.integers(1, 14),
    seed=st.integers(0, 9),
)
def test_every_query_finds_itself(height, width, patch_size, seed):
    """A window that holds its query has a key of similarity 1, on any map and at any border."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(1, 16, height, width, generator=generator)
    maps = self_similarity(features, sample_positions(height, width, -1), patch_size)
    if height * width > 1:
        torch.testing.assert_close(maps.amax(dim=2), torch.ones(1, height * width))


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    num_patches=st.integers(1, 500) | st.just(-1),
)
def test_positions_are_distinct_and_inside(height, width, num_patches):
    positions = sample_positions(height, width, num_patches)
    total = height * width
    assert positions.dtype == torch.int64
    assert len(positions) == (total if num_patches == -1 else min(num_patches, total))
    assert len(set(positions.tolist())) == len(positions)
    assert 0 <= positions.min() and positions.max() < total


def test_positions_follow_their_generator():
    draws = [sample_positions(8, 8, 10, torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize('patch_size', [3, 9])
@pytest.mark.parametrize('normalize', [True, False])
@pytest.mark.parametrize('distance', ['cos', 'l1'])
def test_gradcheck(patch_size, normalize, distance):
    torch.manual_seed(0)
    source = torch.randn(2, 3, 5, 6, dtype=torch.float64)
    target = torch.randn(2, 3, 5, 6, dtype=torch.float64, requires_grad=True)
    positions = torch.tensor([0, 7, 13, 29])

    def loss(target):
        maps = [self_similarity(x, positions, patch_size, normalize) for x in (source, target)]
        return spatial_distance(*maps, distance, normalize)

    assert torch.autograd.gradcheck(loss, target)


def test_structure_alone_counts():
    """Maps ignore a rotation of the feature space and one feature added everywhere."""
    torch.manual_seed(0)
    source = torch.randn(1, 8, 10, 10)
    rotation = torch.linalg.qr(torch.randn(8, 8))[0]
    repainted = torch.einsum('dc,bchw->bdhw', rotation, source) + torch.randn(1, 8, 1, 1)
    positions = sample_positions(10, 10, 20)
    maps = [self_similarity(x, positions, 6) for x in (source, repainted, source.roll(3, dims=3))]
    assert spatial_distance(maps[0], maps[1]) < 1e-5
    assert spatial_distance(maps[0], maps[2]) > 0.05


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_is_accumulated_in_float32(dtype):
    """The sum of squares of these features overflows float16 and drowns in bfloat16."""
    source, target = golden_features()
    source, target = (300 * source).to(dtype), (300 * target).to(dtype)
    positions = sample_positions(16, 16, 32, torch.Generator().manual_seed(0))
    with torch.autocast('cpu', dtype=dtype):
        half = [self_similarity(x, positions, 8) for x in (source, target)]
        value = spatial_distance(*half)
    exact = [self_similarity(x.double(), positions, 8) for x in (source, target)]
    assert half[0].dtype == value.dtype == torch.float32
    torch.testing.assert_close(half[0].double(), exact[0], rtol=0, atol=1e-5)
    assert value.item() == pytest.approx(spatial_distance(*exact).item(), rel=1e-4)


def test_memory_does_not_grow_with_channels_times_window():
    """No tensor of the forward pass comes near (B, N, C, patch, patch)."""
    sizes = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            sizes.extend(t.numel() for t in [out] if isinstance(t, torch.Tensor))
            return out

    features = torch.randn(1, 64, 32, 32)
    with Watch():
        self_similarity(features, sample_positions(32, 32, 128), 16)
    assert max(sizes) == 128 * 32 * 32


@pytest.mark.parametrize(
    'call, message',
    [
        (lambda f, p: sample_positions(0, 4, 1), 'height and width must be positive'),
        (lambda f, p: sample_positions(4, 4, 0), 'num_patches must be a positive number'),
        (lambda f, p: sample_positions(4, 4, -2), 'num_patches must be a positive number'),
        (lambda f, p: self_similarity(f[0], p, 2), r'features must have shape \(B, C, H, W\)'),
        (lambda f, p: self_similarity(f, p.float(), 2), 'positions must be one-dimensional int64'),
        (lambda f, p: self_similarity(f, p, 0), 'patch_size must be positive'),
        (lambda f, p: spatial_distance(f[0], f[0], 'l2'), "distance must be one of .* got 'l2'"),
        (
            lambda f, p: spatial_distance(f[0], f[0], reduction='sum'),
            r"reduction must be one of \('mean', 'none'\), got 'sum'",
        ),
        (lambda f, p: spatial_distance(f[0], f[0, :, :2]), 'one shape'),
        (lambda f, p: spatial_distance(f[0, :, :, :3], f[0, :, :, :3]), 'at least 4 keys'),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.zeros(1, 2, 4, 4), torch.arange(3))
