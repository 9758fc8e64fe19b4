"""Export generators to ONNX and torch.export, compared with the model they come from.

An exported file takes and gives what the network does, (1, 3, H, W) float32, of any height and
width: it pads and crops by itself. What stands before and after it is described in the file, as
JSON under ``sesim_mmagic.json``: in the ``metadata_props`` of ONNX, in the extra files of
torch.export (:func:`load_exported` gives it).
"""

import os
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.benchmark import Timer

from sesim_mmagic.apis.export import FORMATS
from sesim_mmagic.apis.export.files import describe, from_bytes, need_onnx, to_bytes, to_onnx
from sesim_mmagic.apis.export.graph import noisy_layers, trace
from sesim_mmagic.translators import Translator
from sesim_mmagic.utils.files import write_atomically

#: Largest difference from the model that an exported file may show, in values of [-1, 1].
BOUND = 1e-4
OPSETS = range(18, 23)


def export_translator(
    model: Translator,
    path: str | Path,
    file_format: str,
    target_domain: str | None = None,
    size: Sequence[int] | None = None,
    opset: int = 18,
    checkpoint: str | Path | None = None,
) -> dict:
    """Write what translates into a domain to a file that needs no MMagic.

    The file's content is loaded anew and compared with the model's own translations of several
    sizes before anything is written.

    Args:
        model (Translator): Result of ``init_translator``.
        path (str | Path): File to write; missing folders are created.
        file_format (str): 'onnx' or 'pt2' (torch.export).
        target_domain (str, optional): Domain to translate into. Defaults to the model's first.
        size (Sequence[int], optional): Height and width where they are to be fixed, which noise of
            StyleGAN2's generator asks for. Defaults to None: any size.
        opset (int): Version of ONNX's operators, 18 to 22. Defaults to 18.
        checkpoint (str | Path, optional): File whose weights the model has; its name and checksum
            are noted. Defaults to None.

    Returns:
        dict: The file's metadata, with ``check.max_abs_difference``.

    Raises:
        ValueError: There is no such format, opset or domain, the size does not suit the generator,
            the exporter does not know an operator, or the file computes something else than the
            model.
        OSError: The path cannot be written.
        ImportError: A package that the format needs is missing.
    """
    path, target = Path(path), model.check_target(target_domain)
    _check_request(model, target, path, file_format, size, opset)
    sizes = [list(size)] * 4 if size else _sizes(model.size_divisor)
    metadata = describe(model, target, size, opset if file_format == 'onnx' else None, checkpoint)
    try:
        exported: Any = trace(model, target, _example(model, sizes.pop(0)), any_size=size is None)
        if file_format == 'onnx':
            exported = to_onnx(exported, opset)
        run, _ = from_bytes(to_bytes(exported, metadata))
        difference = _largest_difference(model, target, run, sizes)
    except Exception as error:  # each exporter and runtime has its own
        reason: BaseException = error
        while reason.__cause__:
            reason = reason.__cause__
        raise ValueError(
            f'{type(model).__name__} cannot be exported to {file_format}: '
            f'{" ".join(str(reason).split())}'
        ) from error
    if not difference <= BOUND:  # NaN, too
        raise ValueError(
            f"'{path}' was not written: its values differ from the model's by up to "
            f'{difference:.2g}, allowed are {BOUND:g} (sizes {sizes})'
        )
    metadata['check'] = dict(sizes=sizes, max_abs_difference=difference, bound=BOUND)
    write_atomically(path, to_bytes(exported, metadata))
    return metadata


def load_exported(path: str | Path, threads: int | None = None) -> tuple[Callable, dict]:
    """Load an exported file onto the CPU.

    Args:
        path (str | Path): File that :func:`export_translator` has written.
        threads (int, optional): Threads of onnxruntime. Defaults to None: its own choice.

    Returns:
        tuple[Callable, dict]: Function of the file's inputs, tensors as its metadata says; and the
        metadata: inputs, outputs, pre- and post-processing, domains, versions, the check.

    Raises:
        OSError: The file cannot be read.
        ValueError: It was not written by :func:`export_translator`.
        ImportError: A package that the format needs is missing.
    """
    content = Path(path).read_bytes()
    try:
        return from_bytes(content, threads)
    except ImportError:
        raise
    except Exception as error:  # each runtime has its own
        raise ValueError(f"'{path}' is not a file of export_translator: {error}") from error


def time_export(
    path: str | Path, model: Translator, size: Sequence[int] = (256, 256), runs: int = 7
) -> tuple[float, float]:
    """Mean seconds of a translation on one CPU thread, by a model and by its exported file.

    Args:
        path (str | Path): File that :func:`export_translator` has written.
        model (Translator): Result of ``init_translator``, on the CPU.
        size (Sequence[int]): Height and width, unless the file has a fixed size.
        runs (int): Timed runs of each.
    """
    run, metadata = load_exported(path, threads=1)
    image, *styles = _example(model, metadata['fixed_size'] or size)

    def mean(function: Callable[[], Tensor]) -> float:
        timer = Timer('function()', globals=dict(function=function), num_threads=1)
        return timer.timeit(runs).mean

    target = metadata['target_domain']
    return mean(lambda: model.translate(image, target, *styles)), mean(lambda: run(image, *styles))


def _check_request(
    model: Translator,
    target: str,
    path: Path,
    file_format: str,
    size: Sequence[int] | None,
    opset: int,
) -> None:
    """Fail before minutes are spent rather than after."""
    if file_format not in FORMATS:
        raise ValueError(f'format must be one of {", ".join(FORMATS)}, got {file_format!r}')
    if opset not in OPSETS:
        raise ValueError(f'opset must be from {OPSETS[0]} to {OPSETS[-1]}, got {opset}')
    if size is not None and min(size) <= model.size_divisor:
        raise ValueError(
            f'height and width must be larger than {model.size_divisor}, got {tuple(size)}'
        )
    if size is None and noisy_layers(model.inference_generators[target]):
        raise ValueError(
            'the generator adds noise that PyTorch draws for each size: give the size of your '
            'pictures (--size HEIGHT WIDTH), for which it becomes part of the file'
        )
    if file_format == 'onnx':
        need_onnx()
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise PermissionError(f"'{path}' cannot be written: it is a folder, or in a read-only one.")


def _sizes(divisor: int) -> list[list[int]]:
    """Sizes of pictures: one to trace the graph at, then those to compare afterwards.

    These are square and not, multiples of the divisor and not, and have the smallest side.
    """
    unit = max(64, 2 * divisor)
    return [
        [unit + 2 * divisor, unit + 3 * divisor],
        [unit, unit],
        [unit + divisor, 2 * unit - 1],
        [2 * unit + 1, divisor + 1],
    ]


def _example(model: Translator, size: Sequence[int], seed: int = 0) -> tuple[Tensor, ...]:
    """Inputs of a size: a picture of smooth shapes and some noise, maybe a style."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 8, 8, generator=generator) * 2 - 1
    image = F.interpolate(coarse, size=tuple(size), mode='bilinear', align_corners=False)
    image = (image + 0.1 * torch.randn(image.shape, generator=generator)).clamp(-1, 1)
    if not model.style_channels:
        return (image,)
    return image, torch.randn(1, model.style_channels, generator=generator)


@torch.no_grad()
def _largest_difference(
    model: Translator, target: str, run: Callable, sizes: Sequence[Sequence[int]]
) -> float:
    """Largest absolute difference between a loaded file and the model's own translation.

    Infinite where shapes differ, not a number where a value is none.
    """
    model = deepcopy(model).cpu().float()
    largest = torch.zeros(())
    for number, size in enumerate(sizes):
        image, *styles = _example(model, size, seed=number)
        expected = next(model.translations(image, target, *styles))[:, 0]
        translated = run(image, *styles)
        if translated.shape != expected.shape:
            return float('inf')
        # A maximum that lets NaN through: it has to fail the comparison with the bound.
        largest = torch.maximum((translated - expected).abs().max(), largest)
    return largest.item()
