"""Convolutions with fewer multiplications, for inference on the CPU.

PyTorch's compute at the processor's peak; what is left is to compute less. Results differ by
rounding alone.

3 x 3 kernels: a tile of 4 x 4 outputs sees 6 x 6 inputs. Both are coefficients of polynomials in
two variables, whose product is known by its values at 6 x 6 points: 36 multiplications in place of
144 (A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016).

Wide kernels with few outputs, as the last of a generator, fill a fifth of a vector register: their
columns become outputs of a narrow kernel, whose maps are shifted and summed.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

_TILE, _KERNEL, _WINDOW = 4, 3, 6
#: Where polynomials are evaluated, beside infinity, i.e. their highest coefficient. These points
#: keep the rounding small.
_POINTS = (0.0, 0.75, -0.75, 1.5, -1.5)
#: With fewer channels or positions the transforms take what the products save.
_LEAST_INPUTS, _LEAST_OUTPUTS, _LEAST_POSITIONS = 64, 128, 512
#: Values of a map that a thread computes at once: they stay in its cache.
_CHUNK = 2**14
#: Outputs that a convolution computes at no more cost than one.
_MOST_COLUMNS = 32


class FastConvolutions(TorchFunctionMode):
    """Context in which convolutions in float32 on the CPU take about half the time.

    It is for those without strides, dilation and groups. Others are computed as ever, and so are
    all where gradients are recorded. Weights must not change as long as the object is used: it
    keeps them transformed.

    Example::

        with torch.no_grad(), FastConvolutions():
            translated = generator(images)
    """

    def __init__(self) -> None:
        super().__init__()
        self._kernels: dict[Tensor, Tensor] = {}

    def __torch_function__(
        self,
        func: Callable,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Called by PyTorch in place of each of its functions."""
        # nn.Conv2d gives all seven.
        if func is F.conv2d and len(args) == 7 and _is_plain(*args):
            images, weight, bias, _, padding, *_ = args
            if _is_for_tiles(images, weight):
                if weight not in self._kernels:
                    self._kernels[weight] = transform_kernels(weight)
                return convolve_by_tiles(images, self._kernels[weight], bias, padding)
            if len(weight) * weight.shape[3] <= _MOST_COLUMNS:
                return convolve_by_columns(images, weight, bias, padding)
        return func(*args, **(kwargs or {}))


def transform_kernels(weight: Tensor) -> Tensor:
    """Kernels (K, C, 3, 3) as :func:`convolve_by_tiles` takes them, shape (36, C, K)."""
    matrix = _KERNEL_TO_VALUES.to(weight)
    flat = weight.permute(2, 3, 1, 0).reshape(_KERNEL**2, -1)
    return (matrix @ flat).view(_WINDOW**2, *weight.shape[1::-1])


def convolve_by_tiles(
    images: Tensor, kernels: Tensor, bias: Tensor | None = None, padding: Sequence[int] = (0, 0)
) -> Tensor:
    """What ``torch.nn.functional.conv2d`` gives for 3 x 3 kernels, apart from rounding.

    Args:
        images (Tensor): Shape (B, C, H, W), best channels-last.
        kernels (Tensor): Shape (36, C, K), see :func:`transform_kernels`.
        bias (Tensor, optional): Shape (K,). Defaults to None.
        padding (Sequence[int]): Zeros above and below, left and right. Defaults to none.

    Returns:
        Tensor: Shape (B, K, H + 2 * padding - 2, W + 2 * padding - 2), channels-last.
    """
    (batch, _, *sides), (_, channels, outputs) = images.shape, kernels.shape
    height, width = (side + 2 * pad - 2 for side, pad in zip(sides, padding, strict=True))
    down, across = -(-height // _TILE), -(-width // _TILE)
    # What lies beside the image, to the left and right of each window row.
    beside = padding[1], _TILE * across + 2 - sides[1] - padding[1]
    tiles = images.new_empty(batch, down, _TILE, across, _TILE, outputs)
    bias = images.new_zeros(outputs) if bias is None else bias
    to_values, to_outputs = (m.to(images) for m in (_WINDOW_TO_VALUES, _PRODUCTS_TO_TILE))
    rows = max(1, torch.get_num_threads() * _CHUNK // (across * max(channels, outputs)))
    for index, begin in itertools.product(range(batch), range(0, down, rows)):
        end = min(begin + rows, down)
        top, bottom = _TILE * begin - padding[0], _TILE * end + 2 - padding[0]
        part = images[index : index + 1, :, max(top, 0) : bottom]
        missing = *beside, max(-top, 0), max(bottom - sides[0], 0)
        part = F.pad(part, missing) if any(missing) else part
        windows = part.unfold(2, _WINDOW, _TILE).unfold(3, _WINDOW, _TILE).permute(4, 5, 0, 2, 3, 1)
        values = (to_values @ windows.reshape(_WINDOW**2, -1)).view(_WINDOW**2, -1, channels)
        outcome = to_outputs @ (values @ kernels).view(_WINDOW**2, -1)
        tile = outcome.view(_TILE, _TILE, -1, across, outputs).permute(2, 0, 3, 1, 4)
        torch.add(tile, bias, out=tiles[index, begin:end])
    whole = tiles.view(batch, _TILE * down, _TILE * across, outputs).permute(0, 3, 1, 2)
    return whole[:, :, :height, :width]


def convolve_by_columns(
    images: Tensor, weight: Tensor, bias: Tensor | None = None, padding: Sequence[int] = (0, 0)
) -> Tensor:
    """What ``torch.nn.functional.conv2d`` gives, apart from rounding; for few outputs.

    Args:
        images (Tensor): Shape (B, C, H, W).
        weight (Tensor): Shape (K, C, h, w).
        bias (Tensor, optional): Shape (K,). Defaults to None.
        padding (Sequence[int]): Zeros above and below, left and right. Defaults to none.

    Returns:
        Tensor: Shape (B, K, H + 2 * padding - h + 1, W + 2 * padding - w + 1).
    """
    columns = weight.permute(3, 0, 1, 2).flatten(0, 1)[..., None]
    maps = F.conv2d(F.pad(images, (padding[1], padding[1])), columns, padding=(padding[0], 0))
    width = maps.shape[3] - weight.shape[3] + 1
    shifted = (part[..., i : i + width] for i, part in enumerate(maps.split(len(weight), dim=1)))
    total = next(shifted).clone() if bias is None else next(shifted) + bias[:, None, None]
    for part in shifted:
        total += part
    return total


def _is_plain(
    images: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, *others: Any
) -> bool:
    return (
        images.device.type == 'cpu'
        and images.dtype == weight.dtype == torch.float32
        and (stride, *others) == ((1, 1), (1, 1), 1)
        and not isinstance(padding, str)
        and not (torch.is_grad_enabled() or torch.is_autocast_enabled('cpu'))
    )


def _is_for_tiles(images: Tensor, weight: Tensor) -> bool:
    return (
        weight.shape[2:] == (_KERNEL, _KERNEL)
        and weight.shape[0] >= _LEAST_OUTPUTS
        and weight.shape[1] >= _LEAST_INPUTS
        and images.shape[2] * images.shape[3] >= _LEAST_POSITIONS
    )


def _powers(count: int) -> Tensor:
    """The matrix that takes the coefficients of a polynomial to its values at the six points."""
    highest = [0.0] * (count - 1) + [1.0]
    rows = [[point**power for power in range(count)] for point in _POINTS]
    return torch.tensor([*rows, highest], dtype=torch.float64)


def _both_ways(matrix: Tensor) -> Tensor:
    """A transform of rows as one of the rows and columns of flattened squares."""
    return torch.kron(matrix, matrix).float()


# Coefficients of a product are inverse(powers(6)) @ (powers(4) @ a * powers(3) @ b). That is linear
# in a, and its transpose is the convolution of networks: from six inputs to four outputs.
_WINDOW_TO_VALUES = _both_ways(torch.linalg.inv(_powers(_WINDOW)).T)
_KERNEL_TO_VALUES = _both_ways(_powers(_KERNEL))
_PRODUCTS_TO_TILE = _both_ways(_powers(_TILE).T)
