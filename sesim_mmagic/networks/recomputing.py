"""Activation checkpointing: maps are dropped in the forward pass and computed again in the
backward pass (Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .layers import BlurUpsample

# Before these a map is smallest.
_GROWING = (BlurUpsample, nn.Upsample, nn.ReflectionPad2d)

#: Of a buffer: its module, its name there, its value.
State = list[tuple[nn.Module, str, Tensor]]


def recompute(generators: Mapping[str, nn.Module], others: Sequence[nn.Module]) -> list[str]:
    """Let networks compute their maps again in the backward pass.

    Args:
        generators (Mapping[str, nn.Module]): They are computed again part by part, if they have
            some in a row.
        others (Sequence[nn.Module]): Discriminators and feature networks. Each is computed again
            as a whole: they are shallow, and what was computed is dropped before the next one.

    Returns:
        list[str]: Names of the generators that have no parts, and are computed again as a whole.
    """
    undivided = [name for name, network in generators.items() if not _divide(network)]
    for network in [*(generators[name] for name in undivided), *others]:
        _recompute_whole(network)
    return undivided


def _recompute_whole(network: nn.Module) -> None:
    """Let a network keep nothing but its input for the backward pass."""
    # An attribute that copies and pickles with the network.
    network.forward = partial(_forward_again, network)


def _divide(network: nn.Module) -> bool:
    """Let a network keep the maps between its parts alone, if it has some in a row.

    Parts are the modules of a ``ModuleList``, and in a ``Sequential`` the convolution or block
    with what follows it. They have to be the network's own children: what lies deeper may be
    crossed by a shortcut.

    Returns:
        bool: Whether there were such parts; if not, nothing has changed.
    """
    rows = [row for row in network.children() if _has_kernels(row)]
    for row in rows:
        if type(row) is nn.Sequential:
            row.__class__ = RecomputedSequential
        elif isinstance(row, nn.ModuleList):
            for part in row:
                _recompute_whole(part)
    return any(isinstance(row, RecomputedSequential | nn.ModuleList) for row in rows)


class RecomputedSequential(nn.Sequential):
    """A ``Sequential`` that keeps the maps between its segments alone for the backward pass."""

    def forward(self, features: Tensor) -> Tensor:
        """As of any ``Sequential``, bit for bit."""
        for segment in self.segments():
            # What works in place at once would change the map that has to be kept.
            replays = not getattr(segment[0], 'inplace', False)
            features = replayed(segment, segment, features) if replays else segment(features)
        return features

    def segments(self) -> list[nn.Sequential]:
        """The layers in groups of one convolution or block with what belongs to it."""
        groups: list[list[nn.Module]] = []
        for layer in self:
            begins = isinstance(layer, _GROWING) or _has_kernels(layer)
            if not groups or (begins and any(map(_has_kernels, groups[-1]))):
                groups.append([])
            groups[-1].append(layer)
        return [nn.Sequential(*group) for group in groups]


def replayed(module: nn.Module, function: Callable, *inputs: Any, **settings: Any) -> Any:
    """Result of a function of a module, whose maps are computed again for the backward pass.

    The replay starts from the state of the first run: random draws, mixed precision, and buffers,
    so that spectral norms have the same weights. What it does to the buffers is dropped: running
    statistics and power iterations advance once a call, however often it is differentiated.

    Args:
        module (nn.Module): Its buffers can change in the function.
        function (Callable): Changes none of its inputs in place.
        *inputs, **settings: What the function takes.
    """
    if not torch.is_grad_enabled():
        return function(*inputs, **settings)
    before: State | None = None

    def run(*inputs: Any, **settings: Any) -> Any:
        nonlocal before
        if before is None:
            before = [(m, name, buffer.clone()) for m, name, buffer in _changing_buffers(module)]
            return function(*inputs, **settings)
        with _holding(before):
            return function(*inputs, **settings)

    return checkpoint(run, *inputs, use_reentrant=False, **settings)


def _forward_again(network: nn.Module, *inputs: Any, **settings: Any) -> Any:
    return replayed(network, partial(type(network).forward, network), *inputs, **settings)


def _has_kernels(module: nn.Module) -> bool:
    return any(weight.dim() == 4 for weight in module.parameters())


def _changing_buffers(module: nn.Module) -> State:
    """Those of modules in training; a frozen network stays in evaluation."""
    return [
        (owner, name, buffer)
        for owner in module.modules()
        if owner.training
        for name, buffer in owner.named_buffers(recurse=False)
    ]


@contextmanager
def _holding(state: State) -> Iterator[None]:
    """Copies of these buffers in place of a module's own."""
    own = [getattr(owner, name) for owner, name, _ in state]
    for owner, name, buffer in state:
        setattr(owner, name, buffer.clone())
    try:
        yield
    finally:
        for (owner, name, _), buffer in zip(state, own, strict=True):
            setattr(owner, name, buffer)
