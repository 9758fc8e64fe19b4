"""Exported files: a program becomes bytes, bytes a function; how they describe themselves."""

import importlib
import io
import json
import warnings
import zipfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from sesim_mmagic.translators import Translator
from sesim_mmagic.utils.downloads import sha256_of
from sesim_mmagic.version import __version__

#: Under this name the description of a file is kept in it, as JSON.
METADATA = 'sesim_mmagic.json'
OUTPUT = 'translation'


def to_onnx(program: ExportedProgram, opset: int) -> Any:
    """An exported program as ONNX's ``ModelProto``."""
    names = program.graph_signature.user_inputs
    sides = {2: 'height', 3: 'width'} if program.range_constraints else None  # else fixed
    with warnings.catch_warnings():  # of what happens inside; the file is compared afterwards
        warnings.simplefilter('ignore')
        exported: Any = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=opset,
            input_names=names,
            output_names=[OUTPUT],
            dynamic_shapes=(sides, *[None] * (len(names) - 1)),
            verbose=False,
        )
    return exported.model_proto


def to_bytes(exported: Any, metadata: dict) -> bytes:
    """The file of an exported program or an ONNX model, which holds its description."""
    if isinstance(exported, ExportedProgram):
        buffer = io.BytesIO()
        torch.export.save(exported, buffer, extra_files={METADATA: json.dumps(metadata)})
        return buffer.getvalue()
    onnx = need('onnx')
    onnx.helper.set_model_props(exported, {METADATA: json.dumps(metadata)})
    onnx.checker.check_model(exported)
    return exported.SerializeToString()


def load(content: bytes, file_format: str, threads: int | None = None) -> Callable[..., Tensor]:
    """Function of tensors that the content of a file is."""
    if file_format == 'pt2':
        return torch.export.load(io.BytesIO(content)).module()
    runtime = need('onnxruntime')
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    session = runtime.InferenceSession(content, options, providers=['CPUExecutionProvider'])
    names = [value.name for value in session.get_inputs()]

    def run(*inputs: Tensor) -> Tensor:
        arrays = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
        return torch.from_numpy(session.run([OUTPUT], arrays)[0])

    return run


def metadata_of(content: bytes) -> dict:
    """Description that the content of a file holds.

    Raises:
        KeyError: If there is none.
        Exception: Whatever ``onnx`` raises for what is neither ONNX nor PyTorch's.
        ImportError: If ``onnx`` is not installed.
    """
    if content.startswith(b'PK'):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [name for name in archive.namelist() if name.endswith(f'/extra/{METADATA}')]
            return json.loads(archive.read(names[0] if names else METADATA))
    model = need('onnx').load_from_string(content)
    return json.loads({entry.key: entry.value for entry in model.metadata_props}[METADATA])


def need(package: str) -> ModuleType:
    """Import an optional package.

    Raises:
        ImportError: If it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(
            f"ONNX needs the package '{package}' ({error}): pip install 'sesim_mmagic[export]'"
        ) from error


def describe(
    model: Translator,
    target: str,
    size: Sequence[int] | None,
    file_format: str,
    opset: int,
    checkpoint: str | Path | None,
) -> dict:
    """What somebody needs to know who has nothing but the exported file.

    Returns:
        dict: Strings, numbers and lists alone.
    """
    preprocessor = model.data_preprocessor
    order = (preprocessor.output_channel_order or 'BGR').upper()
    shape = [1, 3, *(size or ('height', 'width'))]
    inputs = [dict(name='image', dtype='float32', shape=shape, channel_order=order)]
    if model.style_channels:
        style = [1, model.style_channels]
        inputs.append(dict(name='style', dtype='float32', shape=style, values='N(0, 1)'))
    output = dict(name=OUTPUT, dtype='float32', shape=shape, channel_order=order)
    packages = ['mmagic', 'torch'] + ['onnx', 'onnxruntime'] * (file_format == 'onnx')
    return dict(
        format=file_format,
        model=type(model).__name__,
        source_domain=model.domains[target],
        target_domain=target,
        inputs=inputs,
        outputs=[output],
        value_range=[-1.0, 1.0],
        pixel_mean=preprocessor.mean.flatten().tolist(),
        pixel_std=preprocessor.std.flatten().tolist(),
        preprocessing=f'8-bit picture in {order}; (pixel - pixel_mean) / pixel_std; float32, NCHW.',
        postprocessing='translation * pixel_std + pixel_mean; clamp to [0, 255], round; '
        f'NCHW in {order}.',
        size_divisor=model.size_divisor,
        smallest_side=model.size_divisor + 1,
        fixed_size=list(size) if size else None,
        padding='Inside: bottom and right are reflected up to multiples of size_divisor, and '
        'cropped again.',
        checkpoint=checkpoint and Path(checkpoint).name,
        checkpoint_sha256=checkpoint and sha256_of(checkpoint),
        opset=opset if file_format == 'onnx' else None,
        versions={'sesim_mmagic': __version__, **{name: version(name) for name in packages}},
        licence='The weights are under the terms of whoever published them and of the pictures '
        'they were trained on; the code that wrote this file is under Apache-2.0.',
    )
