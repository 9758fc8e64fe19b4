"""Maps whose rows are computed when they are asked for, so that none has to exist as a whole.

What :mod:`sesim_mmagic.networks.strips` is made of. A map knows its shape and how to make any of
its rows from rows of the maps before it. :class:`StripRun` decides which maps are stored after all.
"""

import math
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

# A map is stored if it is at most so large, compared with the network's largest. Of the paper's
# generator that is everything behind the first down sampling, apart from what a doubling blows up.
STORED_SHARE = 0.25


@dataclass(frozen=True)
class Window:
    """Row i depends on rows i * stride - padding to i * stride - padding + kernel - 1."""

    kernel: int = 1
    stride: int = 1
    padding: int = 0

    def length(self, length: int) -> int:
        """Side of the output for a side of the input."""
        return (length + 2 * self.padding - self.kernel) // self.stride + 1

    def needed(self, begin: int, end: int, height: int) -> tuple[int, int]:
        """Input rows behind output rows; the first one is a multiple of the stride."""
        first = begin - math.ceil(self.padding / self.stride)
        last = (end - 1) * self.stride - self.padding + self.kernel
        # A reflected border looks further into the map than a window that lies inside it.
        first = max(0, min(first * self.stride, height - 1 - self.padding))
        first -= first % self.stride
        return first, min(height, max(last, first + self.padding + 1))

    def first_output(self, first: int) -> int:
        """Output row with which the output for input rows from ``first`` on begins."""
        return first // self.stride


@dataclass(frozen=True)
class Enlargement:
    """Row i depends on rows i // factor - reach to i // factor + reach."""

    factor: int
    reach: int

    def length(self, length: int) -> int:
        """Side of the output for a side of the input."""
        return length * self.factor

    def needed(self, begin: int, end: int, height: int) -> tuple[int, int]:
        """Input rows behind output rows."""
        first = begin // self.factor - self.reach
        last = math.ceil(end / self.factor) + self.reach
        return max(0, first), min(height, last)

    def first_output(self, first: int) -> int:
        """Output row with which the output for input rows from ``first`` on begins."""
        return first * self.factor


class RowMap:
    """A map (B, channels, height, width) that gives rows of itself."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        self.channels, self.height, self.width = channels, height, width

    def rows(self, begin: int, end: int) -> Tensor:
        """Rows from ``begin`` to before ``end``, shape (B, channels, end - begin, width)."""
        raise NotImplementedError

    @property
    def size(self) -> int:
        """Numbers of one image."""
        return self.channels * self.height * self.width


class StoredMap(RowMap):
    """A tensor (B, C, H, W), maybe on another device and of another type than its rows."""

    def __init__(self, tensor: Tensor, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(*tensor.shape[1:])
        self.tensor, self.device, self.dtype = tensor, device, dtype

    def rows(self, begin: int, end: int) -> Tensor:
        return self.tensor[:, :, begin:end].to(self.device, self.dtype)


class LocalMap(RowMap):
    """What a layer without a wide view makes of another map.

    The layer is called on the needed rows as if they were a whole map. At the true borders its
    own padding is right; what it made up at the borders of a strip is cut off.
    """

    def __init__(
        self,
        source: RowMap,
        layer: Callable[[Tensor], Tensor],
        view: Window | Enlargement,
        channels: int | None = None,
    ) -> None:
        sides = view.length(source.height), view.length(source.width)
        super().__init__(channels or source.channels, *sides)
        self.source, self.view = source, view
        if getattr(layer, 'inplace', False):
            layer = copy(layer)
            layer.inplace = False  # the rows may be those of a stored map
        self.layer = layer

    def rows(self, begin: int, end: int) -> Tensor:
        first, last = self.view.needed(begin, end, self.source.height)
        found = self._layer_for(first, last)(self.source.rows(first, last))
        skipped = begin - self.view.first_output(first)
        return found[:, :, skipped : skipped + end - begin]

    def _layer_for(self, first: int, last: int) -> Callable[[Tensor], Tensor]:
        return self.layer


class NoisyMap(LocalMap):
    """What a doubling layer with noise makes of another map: the picture's noise, row by row."""

    def __init__(self, source: RowMap, layer: nn.Module, view: Enlargement, channels: int) -> None:
        super().__init__(source, layer, view, channels)
        self.noise = None

    def _layer_for(self, first: int, last: int) -> Callable[[Tensor], Tensor]:
        if self.noise is None:  # one channel; the layer draws it for the shape of a map
            self.noise = self.layer._noise(torch.empty(1, 1, self.height, self.width))
        noise = self.noise[:, :, self.view.first_output(first) : self.view.first_output(last)]
        layer = copy(self.layer)
        layer._noise = noise.to
        return layer


class NormalizedMap(RowMap):
    """Another map times a scale plus a shift, both (B, C, 1, 1), of float32 or wider."""

    def __init__(self, source: RowMap, scale: Tensor, shift: Tensor) -> None:
        super().__init__(source.channels, source.height, source.width)
        self.source, self.scale, self.shift = source, scale, shift

    def rows(self, begin: int, end: int) -> Tensor:
        rows = self.source.rows(begin, end)
        return torch.addcmul(self.shift, rows.to(self.scale.dtype), self.scale).to(rows.dtype)


class SumMap(RowMap):
    """Sum of two maps of one shape."""

    def __init__(self, first: RowMap, second: RowMap) -> None:
        super().__init__(first.channels, first.height, first.width)
        self.first, self.second = first, second

    def rows(self, begin: int, end: int) -> Tensor:
        return self.first.rows(begin, end) + self.second.rows(begin, end)


class Plan:
    """What becomes of maps while a network is only looked at: nothing is computed."""

    def __init__(self) -> None:
        self.largest = 0

    def keep(self, source: RowMap, always: bool = False) -> RowMap:
        """The map itself, or a stored copy of it if it is small or has to be stored ``always``."""
        self.largest = max(self.largest, source.size)
        return source

    def normalize(
        self,
        source: RowMap,
        groups: int,
        eps: float,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> RowMap:
        """Take away the mean of each group of channels and divide by its standard deviation.

        Args:
            source (RowMap): The map.
            groups (int): Number of groups; as many as channels for instance norm, 1 for layer norm.
            eps (float): Added to the variance.
            weight (Tensor, optional): Factors afterwards, shape (C,) or (B, C).
            bias (Tensor, optional): Summands afterwards, shape (C,) or (B, C).

        Returns:
            RowMap: Of the same shape.
        """
        return source


class StripRun(Plan):
    """Computes maps in ``count`` strips each; stored maps lie on ``storage``.

    ``largest`` is the size of the largest map, which the network's plan has found.
    """

    def __init__(
        self, count: int, storage: torch.device, device: torch.device, largest: int
    ) -> None:
        self.count, self.storage, self.device, self.largest = count, storage, device, largest

    def keep(self, source: RowMap, always: bool = False) -> RowMap:
        if source.size > STORED_SHARE * self.largest and not always:
            return source
        tensor = self.computed(source)
        return StoredMap(tensor, self.device, tensor.dtype)

    def computed(self, source: RowMap) -> Tensor:
        """All rows of a map, shape (B, C, H, W)."""
        whole = None
        for begin, end in self._strips(source.height):
            rows = source.rows(begin, end)
            if whole is None:
                shape = len(rows), source.channels, source.height, source.width
                whole = rows.new_empty(shape, device=self.storage)
            whole[:, :, begin:end] = rows
        return whole

    def normalize(
        self,
        source: RowMap,
        groups: int,
        eps: float,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> RowMap:
        mean, variance, like = self._moments(source, groups)
        scale = (variance + eps).rsqrt().repeat_interleave(source.channels // groups, 1)
        shift = -mean.repeat_interleave(source.channels // groups, 1) * scale
        if weight is not None:
            weight = weight.to(scale)
            scale, shift = scale * weight, shift * weight
        if bias is not None:
            shift = shift + bias.to(shift)
        return NormalizedMap(source, *(x[:, :, None, None].to(like) for x in (scale, shift)))

    def _moments(self, source: RowMap, groups: int) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and variance (B, groups) of the whole map in float64; a tensor of the type to use.

        Each strip gives its own; together they are the map's (Chan et al., 1983).
        """
        shares, means, variances = [], [], []
        for begin, end in self._strips(source.height):
            rows = source.rows(begin, end)
            rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
            rows = rows.reshape(len(rows), groups, -1)
            variance, mean = torch.var_mean(rows, 2, correction=0)
            shares.append((end - begin) / source.height)
            means.append(mean.cpu().double())
            variances.append(variance.cpu().double())
        shares = torch.tensor(shares, dtype=torch.float64)[:, None, None]
        means, variances = torch.stack(means), torch.stack(variances)
        total = (shares * means).sum(0)
        return total, (shares * (variances + (means - total).square())).sum(0), mean

    def _strips(self, height: int) -> Iterator[tuple[int, int]]:
        step = math.ceil(height / self.count)
        for begin in range(0, height, step):
            yield begin, min(height, begin + step)
