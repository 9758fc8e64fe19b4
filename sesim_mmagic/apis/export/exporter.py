"""Export generators to ONNX, TorchScript and torch.export, compared with the model they come from.

An exported file takes and gives what the network does, (1, 3, H, W) float32, of any height and
width: it pads and crops by itself. What stands before and after it is described in the file, as
JSON under ``sesim_mmagic.json``: in the ``metadata_props`` of ONNX, in the extra files of the
others (:func:`read_export_metadata`).
"""

import json
import time
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch

from sesim_mmagic.apis.export import formats
from sesim_mmagic.apis.export.check import (
    example,
    example_size,
    largest_difference,
    sizes_to_compare,
)
from sesim_mmagic.apis.export.metadata import describe, versions
from sesim_mmagic.utils.files import write_atomically

#: Largest difference from the model that an exported file may show, in values of [-1, 1].
BOUND = 1e-4


class Format(NamedTuple):
    """A format of exported files."""

    export: Any
    to_bytes: Any
    load: Any
    #: What computes a file, and the packages it takes.
    runtime: str
    packages: tuple[str, ...] = ()


_FORMATS = {
    'onnx': Format(
        formats.to_onnx,
        formats.onnx_bytes,
        formats.load_onnx,
        'onnxruntime',
        ('onnx', 'onnxruntime'),
    ),
    'torchscript': Format(
        formats.to_torchscript, formats.torchscript_bytes, formats.load_torchscript, 'torch'
    ),
    'pt2': Format(formats.to_pt2, formats.pt2_bytes, formats.load_pt2, 'torch'),
}


def export_translator(
    model,
    path,
    file_format,
    target_domain=None,
    size=None,
    opset=17,
    checkpoint=None,
):
    """Write what translates into a domain to a file that needs no MMagic.

    The file's content is loaded anew and compared with the model's own translations of several
    sizes before anything is written.

    Args:
        model (BaseTranslationModel): Result of ``init_translator``.
        path (str | Path): File to write; missing folders are created.
        file_format (str): 'onnx', 'torchscript' or 'pt2' (torch.export).
        target_domain (str | None): Domain to translate into; the model's default domain if None.
        size (tuple[int, int] | None): Height and width where they are to be fixed, which noise of
            StyleGAN2's generator asks for; None for any size.
        opset (int): Version of ONNX's operators, 14 to 20.
        checkpoint (str | Path | None): File whose weights the model has; its name and SHA-256 are
            noted.

    Returns:
        dict: The file's metadata, with ``check.max_abs_difference``.

    Raises:
        ValueError: There is no such format, opset or domain, the size does not suit the generator,
            the path cannot be written, the exporter does not know an operator, or the file
            computes something else than the model.
        ImportError: A package that the format needs is missing.
    """
    from sesim_mmagic.apis.export.graph import build_graph, drop_unused, fix_noise

    kind, target = _check_request(model, file_format, target_domain, opset)
    _check_writable(path)
    graph = build_graph(model, target)
    sizes = sizes_to_compare(graph, size)
    traced = example(graph, model, size or example_size(graph))
    drop_unused(graph, traced)
    if size is not None:
        fix_noise(graph, traced)
    try:
        with torch.no_grad():
            program = kind.export(graph, traced, size is None, opset)
    except Exception as error:  # each exporter has its own
        raise ValueError(
            f'{type(model).__name__} cannot be exported to {file_format}: {error}'
        ) from error
    metadata = describe(model, graph, target, size, file_format, opset, kind.packages, checkpoint)
    content = kind.to_bytes(program, json.dumps(metadata))
    difference = largest_difference(model, graph, target, kind.load(content), sizes)
    if not difference <= BOUND:
        raise ValueError(
            f"'{path}' was not written: the {file_format} file gives values that differ by up to "
            f'{difference:.2g} from those of the model, allowed are {BOUND:g}. Sizes compared: '
            f'{sizes}.'
        )
    metadata['check'] = dict(
        runtime=versions(kind.runtime),
        sizes=sizes,
        max_abs_difference=difference,
        bound=BOUND,
    )
    write_atomically(path, kind.to_bytes(program, json.dumps(metadata)))
    return metadata


def check_export(path, model):
    """Compare an exported file with a model.

    Args:
        path (str | Path): File that :func:`export_translator` has written.
        model (BaseTranslationModel): Result of ``init_translator``.

    Returns:
        float: Largest absolute difference of values in [-1, 1], over several sizes.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It was not written by :func:`export_translator`.
        ImportError: A package that the format needs is missing.
    """
    from sesim_mmagic.apis.export.graph import build_graph

    run, metadata = load_exported(path)
    target, size = metadata['target_domain'], metadata['fixed_size']
    graph = build_graph(model, target)
    return largest_difference(
        model, graph, target, run, sizes_to_compare(graph, size, noise_fixed=True)
    )


def read_export_metadata(path):
    """Description of an exported file.

    Args:
        path (str | Path): File that :func:`export_translator` has written.

    Returns:
        dict: Inputs, outputs, pre- and post-processing, domains, versions, the check.

    Raises:
        FileNotFoundError, ValueError, ImportError: As :func:`check_export`.
    """
    return _read(path)[1]


def load_exported(path, threads=None):
    """Load an exported file onto the CPU.

    Args:
        path (str | Path): File that :func:`export_translator` has written.
        threads (int | None): Threads of onnxruntime; None for its own choice.

    Returns:
        tuple[Callable, dict]: Function of the file's inputs, tensors as its metadata says, and the
        metadata.

    Raises:
        FileNotFoundError, ValueError, ImportError: As :func:`check_export`.
    """
    content, metadata = _read(path)
    try:
        return _FORMATS[metadata['format']].load(content, threads), metadata
    except ImportError:
        raise
    except Exception as error:  # each runtime has its own
        raise ValueError(f"'{path}' cannot be loaded: {error}") from error


@torch.no_grad()
def time_export(path, model, size=(256, 256), runs=7):
    """Median seconds of a translation on one CPU thread, by the model and by an exported file.

    Args:
        path (str | Path): File that :func:`export_translator` has written.
        model (BaseTranslationModel): Result of ``init_translator``.
        size (tuple[int, int]): Height and width, unless the file has a fixed size.
        runs (int): Timed runs of each, in turn, after one that is not timed.

    Returns:
        tuple[float, float]: Seconds of the model, seconds of the file.

    Raises:
        FileNotFoundError, ValueError, ImportError: As :func:`check_export`.
    """
    from sesim_mmagic.apis.export.graph import build_graph

    run, metadata = load_exported(path, threads=1)
    graph = build_graph(model, metadata['target_domain'])
    inputs = example(graph, model, metadata['fixed_size'] or size)
    seconds = {graph: [], run: []}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for _ in range(runs + 1):
            for function, found in seconds.items():
                start = time.perf_counter()
                function(*inputs)
                found.append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
    return tuple(median(found[1:]) for found in seconds.values())


def _check_request(model, file_format, target_domain, opset):
    if file_format not in _FORMATS:
        raise ValueError(f'format must be one of {", ".join(_FORMATS)}, got {file_format!r}')
    if not 14 <= opset <= 20:
        raise ValueError(f'opset must be from 14 to 20, got {opset}')
    target = model.check_target(target_domain)
    for package in _FORMATS[file_format].packages:
        formats.need(package)
    return _FORMATS[file_format], target


def _check_writable(path):
    """Fail before minutes are spent rather than after."""
    path = Path(path)
    probe = path.with_name(f'{path.name}.tmp')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError('it is a folder')
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ValueError(f"'{path}' cannot be written: {error}") from error


def _read(path):
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Exported file '{path}' does not exist.")
    content = path.read_bytes()
    try:
        return content, json.loads(formats.metadata_of(content))
    except ImportError:
        raise
    except Exception as error:  # onnx has its own
        raise ValueError(f"'{path}' is no file of export_translator: {error}") from error
