"""Maps whose rows are computed when they are asked for, so that none has to exist as a whole."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

# A map is stored if it is at most so large, compared with the network's largest. Of the paper's
# generator that is everything behind the first down sampling, apart from what a doubling blows up.
STORED_SHARE = 0.25


@dataclass(frozen=True)
class View:
    """What a layer sees: a window of ``kernel`` rows every ``stride`` rows of the padded map.

    One that enlarges gives ``factor`` rows for each, and sees ``reach`` further ones on both sides.
    """

    kernel: int = 1
    stride: int = 1
    padding: int = 0
    factor: int = 1
    reach: int = 0

    def length(self, length: int) -> int:
        """Side of the output for a side of the input."""
        return self.factor * ((length + 2 * self.padding - self.kernel) // self.stride + 1)

    def needed(self, begin: int, end: int, height: int) -> tuple[int, int]:
        """Input rows behind output rows; the first one is a multiple of the stride."""
        begin = begin // self.factor - self.reach
        end = math.ceil(end / self.factor) + self.reach
        first = (begin - math.ceil(self.padding / self.stride)) * self.stride
        # A reflected border looks further into the map than a window that lies inside it.
        first = max(0, min(first, height - 1 - self.padding))
        first -= first % self.stride
        last = (end - 1) * self.stride - self.padding + self.kernel
        return first, min(height, max(last, first + self.padding + 1))

    def first_output(self, first: int) -> int:
        """Output row with which the output for input rows from ``first`` on begins."""
        return first // self.stride * self.factor


def _unknown_rows(begin: int, end: int) -> Tensor:
    raise RuntimeError('only the size of this map is known')


@dataclass(frozen=True)
class RowMap:
    """A map (B, channels, height, width); ``rows(begin, end)`` are its rows before ``end``."""

    channels: int
    height: int
    width: int
    rows: Callable[[int, int], Tensor] = _unknown_rows

    @property
    def size(self) -> int:
        """Numbers of one image."""
        return self.channels * self.height * self.width

    def like(self, rows: Callable[[int, int], Tensor]) -> 'RowMap':
        """A map of the same shape with other rows."""
        return RowMap(self.channels, self.height, self.width, rows)


def stored_map(tensor: Tensor, device: torch.device | None, dtype: torch.dtype) -> RowMap:
    """A tensor (B, C, H, W), maybe on another device and of another type than its rows."""
    channels, height, width = tensor.shape[1:]

    def rows(begin: int, end: int) -> Tensor:
        return tensor[:, :, begin:end].to(device=device, dtype=dtype)

    return RowMap(channels, height, width, rows)


def sum_map(first: RowMap, second: RowMap) -> RowMap:
    """Sum of two maps of one shape."""
    return first.like(lambda begin, end: first.rows(begin, end) + second.rows(begin, end))


def local_map(
    source: RowMap,
    layer_of: Callable[[int, int], Callable[[Tensor], Tensor]],
    view: View,
    channels: int,
) -> RowMap:
    """What a layer without a wide view makes of another map.

    The layer, chosen by the first input row and the one behind the last, is called on the needed
    rows as if they were a whole map. At the true borders its own padding is right; what it made up
    at the borders of a strip is cut off.
    """

    def rows(begin: int, end: int) -> Tensor:
        first, last = view.needed(begin, end, source.height)
        output = layer_of(first, last)(source.rows(first, last))
        skipped = begin - view.first_output(first)
        return output[:, :, skipped : skipped + end - begin]

    return RowMap(channels, view.length(source.height), view.length(source.width), rows)


@dataclass
class StripRun:
    """Computes maps in ``count`` strips each; stored maps lie on ``storage``.

    Without a count nothing is computed: the run passes through a network to find the size of its
    ``largest`` map, which a run that computes has to be told.
    """

    count: int = 0
    storage: torch.device | None = None
    device: torch.device | None = None
    largest: int = 0

    def keep(self, source: RowMap, always: bool = False) -> RowMap:
        """The map itself, or a stored copy of it if it is small or has to be stored ``always``."""
        self.largest = max(self.largest, source.size)
        if not self.count or not (always or source.size <= STORED_SHARE * self.largest):
            return source
        tensor = self.computed(source)
        return stored_map(tensor, self.device, tensor.dtype)

    def computed(self, source: RowMap) -> Tensor:
        """All rows of a map, shape (B, C, H, W)."""
        for begin, end in self._strips(source.height):
            rows = source.rows(begin, end)
            if begin == 0:
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
        """Take away the mean of each group of channels and divide by its standard deviation.

        As many groups as channels are an instance norm, one is a layer norm; ``eps`` is added to
        the variance. Factors and summands may follow, both (C,) or (B, C).
        """
        if not self.count:
            return source
        mean, variance, like = self._moments(source, groups)
        scale = (variance + eps).rsqrt().repeat_interleave(source.channels // groups, 1)
        shift = -mean.repeat_interleave(source.channels // groups, 1) * scale
        if weight is not None:
            weight = weight.to(scale)
            scale, shift = scale * weight, shift * weight
        if bias is not None:
            shift = shift + bias.to(shift)
        scale, shift = (x[:, :, None, None].to(like) for x in (scale, shift))

        def rows(begin: int, end: int) -> Tensor:
            rows = source.rows(begin, end)
            return torch.addcmul(shift, rows.to(scale.dtype), scale).to(rows.dtype)

        return source.like(rows)

    def _moments(self, source: RowMap, groups: int) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and variance (B, groups) of a whole map in float64; a tensor of the type to use."""
        mean = square = torch.zeros(1, dtype=torch.float64)
        for begin, end in self._strips(source.height):
            rows = source.rows(begin, end)
            rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
            of_strip = torch.var_mean(rows.reshape(len(rows), groups, -1), 2, correction=0)
            strip_variance, strip_mean = (moment.cpu().double() for moment in of_strip)
            share = (end - begin) / source.height
            mean = mean + share * strip_mean
            square = square + share * (strip_variance + strip_mean.square())
        return mean, (square - mean.square()).clamp_min(0), of_strip[1]

    def _strips(self, height: int) -> Iterator[tuple[int, int]]:
        step = math.ceil(height / self.count)
        for begin in range(0, height, step):
            yield begin, min(height, begin + step)
