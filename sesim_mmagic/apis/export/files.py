"""Exported files: a program becomes bytes that describe themselves, and bytes a function."""

import io
import json
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
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


def need_onnx() -> None:
    """Raise ``ImportError``, with what to install, unless the packages for ONNX are there."""
    for package in ('onnx', 'onnxscript', 'onnxruntime'):
        try:
            import_module(package)
        except ImportError as error:
            raise ImportError(
                f"ONNX needs the package '{package}' ({error}): pip install 'sesim_mmagic[export]'"
            ) from error


def to_onnx(program: ExportedProgram, opset: int) -> torch.onnx.ONNXProgram:
    """An exported program in ONNX's operators."""
    names = program.graph_signature.user_inputs
    sides = {2: 'height', 3: 'width'} if program.range_constraints else None  # else fixed
    with warnings.catch_warnings():  # of what happens inside; the file is compared afterwards
        warnings.simplefilter('ignore')
        exported = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=opset,
            input_names=names,
            output_names=[OUTPUT],
            dynamic_shapes=(sides, *[None] * (len(names) - 1)),
            verbose=False,
        )
    assert exported  # None is for exports right into a file
    return exported


def to_bytes(exported: ExportedProgram | torch.onnx.ONNXProgram, metadata: dict) -> bytes:
    """The file of an exported program, which holds its description."""
    text = json.dumps(metadata)
    if isinstance(exported, ExportedProgram):
        buffer = io.BytesIO()
        torch.export.save(exported, buffer, extra_files={METADATA: text})
        return buffer.getvalue()
    exported.model.metadata_props[METADATA] = text
    return exported.model_proto.SerializeToString()


def from_bytes(content: bytes, threads: int | None = None) -> tuple[Callable[..., Tensor], dict]:
    """Function of tensors that the content of a file is, and its description."""
    if content.startswith(b'PK'):
        extra = {METADATA: ''}
        program = torch.export.load(io.BytesIO(content), extra_files=extra)
        return program.module(), json.loads(extra[METADATA])
    need_onnx()
    runtime: Any = import_module('onnxruntime')
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    session = runtime.InferenceSession(content, options, providers=['CPUExecutionProvider'])
    names = [value.name for value in session.get_inputs()]

    def run(*inputs: Tensor) -> Tensor:
        arrays = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
        return torch.from_numpy(session.run([OUTPUT], arrays)[0])

    return run, json.loads(session.get_modelmeta().custom_metadata_map[METADATA])


def describe(
    model: Translator,
    target: str,
    size: Sequence[int] | None,
    opset: int | None,
    checkpoint: str | Path | None,
) -> dict:
    """What somebody needs to know who has nothing but the file: strings, numbers and lists.

    ``opset`` is None for torch.export; for the others see :func:`export_translator`.
    """
    preprocessor = model.data_preprocessor
    order = (preprocessor.output_channel_order or 'BGR').upper()
    shape = [1, 3, *(size or ('height', 'width'))]
    image = dict(name='image', dtype='float32', shape=shape, channel_order=order)
    style = dict(name='style', dtype='float32', shape=[1, model.style_channels], values='N(0, 1)')
    packages = ['mmagic', 'torch', *(['onnx', 'onnxruntime'] if opset else [])]
    return dict(
        format='onnx' if opset else 'pt2',
        model=type(model).__name__,
        source_domain=model.domains[target],
        target_domain=target,
        inputs=[image, style] if model.style_channels else [image],
        outputs=[dict(image, name=OUTPUT)],
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
        opset=opset,
        versions={'sesim_mmagic': __version__, **{name: version(name) for name in packages}},
        licence='The weights are under the terms of whoever published them and of the pictures '
        'they were trained on; the code that wrote this file is under Apache-2.0.',
    )
