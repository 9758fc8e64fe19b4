"""Weights of a checkpoint beside those of a model: names, shapes, what keeps them apart."""

import hashlib
import re
from collections import OrderedDict
from collections.abc import Container, Iterable, Mapping

import torch
from torch import Tensor

from sesim_mmagic.utils.messages import first_lines


class WeightsMismatch(ValueError):
    """A checkpoint is one of another model.

    Args:
        model (str): Name of the model's class.
        lines (list[str]): Result of :func:`differences`.
        path (str, optional): File of the checkpoint, where it is known.
    """

    def __init__(self, model: str, lines: list[str], path: str | None = None) -> None:
        self.model, self.lines = model, lines
        name = 'The checkpoint' if path is None else f"Checkpoint '{path}'"
        super().__init__(
            f'{name} is not one of this {model}: {first_lines(lines)}. '
            'Use the config that the checkpoint was trained with' + _other_domains(lines)
        )


def _other_domains(lines: list[str]) -> str:
    """The end of the message: what to do where the two translate into other domains."""
    domains = [
        sorted({m[1] for line in lines if (m := re.match(rf"'generators\.(\w+)\..*{end}$", line))})
        for end in ('is missing', 'is unknown to the model')
    ]
    if not all(domains) or set(domains[0]) & set(domains[1]):
        return '.'
    new, old = domains
    pairs = ' '.join(f'{o}={n}' for o, n in zip(old, new, strict=False))
    return (
        f'; or, to start a training from it: it translates into the domain {", ".join(old)}, this '
        f'model into {", ".join(new)}, give tools/train.py --domain-mapping {pairs}'
    )


def checksum_of(weights: Iterable[Tensor]) -> str:
    """Checksum of weights of any kind, 16 hexadecimal digits; their order matters."""
    checksum = hashlib.sha256()
    for weight in weights:
        checksum.update(weight.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return checksum.hexdigest()[:16]


def adapt_names(expected: Container[str], found: Mapping[str, Tensor]) -> OrderedDict:
    """Take the traces of wrappers out of a checkpoint's names where the model has none.

    Args:
        expected (Container[str]): Plain names of the model's weights.
        found (Mapping[str, Tensor]): Weights of a checkpoint.

    Returns:
        OrderedDict: ``found``, with ``module.x`` and ``generators.module.x`` renamed where the
        name without ``module.`` is one of the model's.
    """

    def adapted(key: str) -> str:
        without = re.sub(r'^module\.', '', key)
        names = key, without, re.sub(r'^(\w+)\.module\.', r'\1.', without)
        return next((name for name in names if name in expected), key)

    return OrderedDict((adapted(k), v) for k, v in found.items())


def differences(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """List what keeps weights from fitting a model.

    Args:
        expected (Mapping[str, Tensor]): Weights of the model.
        found (Mapping[str, Tensor]): Weights of a checkpoint.

    Returns:
        list[str]: One line for each weight that is missing, unknown, or of another shape or kind.
    """
    lines = [f"'{k}' is missing" for k in expected if k not in found]
    lines += [f"'{k}' is unknown to the model" for k in found if k not in expected]
    for key in expected:
        if key not in found:
            continue
        if not isinstance(found[key], Tensor):
            lines.append(f"'{key}' is no tensor")
        elif expected[key].shape != found[key].shape:
            lines.append(
                f"'{key}' has shape {tuple(found[key].shape)}, "
                f'the model needs {tuple(expected[key].shape)}'
            )
        elif expected[key].is_floating_point() != found[key].is_floating_point():
            lines.append(f"'{key}' holds {found[key].dtype}, the model needs {expected[key].dtype}")
    return lines


def with_average(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> OrderedDict:
    """Add the moving average that a model has and a checkpoint lacks, such as a released one.

    The generators of such a checkpoint are the average; training goes on from there.

    Args:
        expected (Mapping[str, Tensor]): Weights of the model.
        found (Mapping[str, Tensor]): Weights of the checkpoint under the model's names.

    Returns:
        OrderedDict: ``found``, with ``generator_ema.*`` if the model has it and the checkpoint has
        nothing of it.
    """
    added = OrderedDict(found)
    if any(key.startswith('generator_ema.') for key in found):
        return added
    for key, value in expected.items():
        generator = key.replace('generator_ema.module.', 'generators.', 1)
        if key == 'generator_ema.steps':
            added[key] = value
        elif key != generator and generator in found:
            added[key] = found[generator]
    return added
