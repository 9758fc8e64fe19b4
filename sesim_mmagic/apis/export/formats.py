"""The formats of exported generators: how a graph becomes bytes, and bytes a function."""

import importlib
import io
import warnings
import zipfile
from collections.abc import Callable
from contextlib import contextmanager
from types import ModuleType

import torch
from torch import Tensor, nn

#: Under this name the description of a file is kept in it, as JSON.
METADATA = 'sesim_mmagic.json'
OUTPUT = 'translation'


def to_onnx(graph: nn.Module, inputs: tuple[Tensor, ...], dynamic: bool, opset: int) -> bytes:
    """Write a graph as ONNX, in one file whatever its size up to ONNX's 2 GB.

    Args:
        graph (nn.Module): See :mod:`.graph`.
        inputs (tuple[Tensor, ...]): Example of its inputs.
        dynamic (bool): Whether height and width are free.
        opset (int): Version of ONNX's operators.
    """
    need('onnx')
    axes = {2: 'height', 3: 'width'}
    buffer = io.BytesIO()
    # The exporter of torch.export's graphs would need onnxscript as well.
    with _quiet(), _symbolics(opset):
        torch.onnx.export(
            graph,
            inputs,
            buffer,
            dynamo=False,
            opset_version=opset,
            input_names=list(graph.inputs),
            output_names=[OUTPUT],
            dynamic_axes={'image': axes, OUTPUT: axes} if dynamic else None,
        )
    return buffer.getvalue()


def to_torchscript(
    graph: nn.Module, inputs: tuple[Tensor, ...], dynamic: bool, opset: int
) -> torch.jit.ScriptModule:
    """Trace a graph; see :func:`to_onnx`. A trace takes any size, unless noise was fixed."""
    with _quiet():
        return torch.jit.trace(graph, inputs, check_trace=False)


def to_pt2(
    graph: nn.Module, inputs: tuple[Tensor, ...], dynamic: bool, opset: int
) -> torch.export.ExportedProgram:
    """Export a graph with torch.export; see :func:`to_onnx`."""
    sides = None
    if dynamic:
        smallest = graph.divisor + 1
        sides = {
            2: torch.export.Dim('height', min=smallest),
            3: torch.export.Dim('width', min=smallest),
        }
    shapes = (sides, *[None] * (len(inputs) - 1))
    with _quiet():
        return torch.export.export(graph, inputs, dynamic_shapes=shapes, strict=False)


def onnx_bytes(program: bytes, metadata: str) -> bytes:
    """The file of an ONNX model that describes itself."""
    onnx = need('onnx')
    model = onnx.load_from_string(program)
    onnx.helper.set_model_props(model, {METADATA: metadata})
    onnx.checker.check_model(model)
    return model.SerializeToString()


def torchscript_bytes(program: torch.jit.ScriptModule, metadata: str) -> bytes:
    """The file of a TorchScript module that describes itself."""
    buffer = io.BytesIO()
    with _quiet():
        torch.jit.save(program, buffer, _extra_files={METADATA: metadata})
    return buffer.getvalue()


def pt2_bytes(program: torch.export.ExportedProgram, metadata: str) -> bytes:
    """The file of an exported program that describes itself."""
    buffer = io.BytesIO()
    with _quiet():
        torch.export.save(program, buffer, extra_files={METADATA: metadata})
    return buffer.getvalue()


def load_onnx(content: bytes, threads: int | None = None) -> Callable:
    """Function of tensors that the content of an ONNX file is."""
    runtime = need('onnxruntime')
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    session = runtime.InferenceSession(content, options, providers=['CPUExecutionProvider'])
    names = [one.name for one in session.get_inputs()]

    def run(*inputs: Tensor) -> Tensor:
        arrays = [one.numpy() for one in inputs]
        return torch.from_numpy(session.run([OUTPUT], dict(zip(names, arrays, strict=True)))[0])

    return run


def load_torchscript(content: bytes, threads: int | None = None) -> Callable:
    """Function of tensors that the content of a TorchScript file is."""
    with _quiet():
        return torch.jit.load(io.BytesIO(content), map_location='cpu')


def load_pt2(content: bytes, threads: int | None = None) -> Callable:
    """Function of tensors that the content of a torch.export file is."""
    with _quiet():
        return torch.export.load(io.BytesIO(content)).module()


def metadata_of(content: bytes) -> str:
    """Description that the content of a file holds.

    Raises:
        KeyError: If there is none.
        Exception: Whatever ``onnx`` raises for what is neither ONNX nor PyTorch's.
        ImportError: If ``onnx`` is not installed.
    """
    if content.startswith(b'PK'):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            found = [n for n in archive.namelist() if n.endswith(f'/extra/{METADATA}')]
            return archive.read(found[0] if found else METADATA).decode()
    model = need('onnx').load_from_string(content)
    return {one.key: one.value for one in model.metadata_props}[METADATA]


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


@contextmanager
def _quiet():
    """Tracers warn of every shape they look at; what is exported is compared afterwards."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        yield


@contextmanager
def _symbolics(opset: int):
    """Say some operators in a way that ONNX knows and computes well."""
    own = {
        'aten::batch_norm': _batch_norm,
        'aten::instance_norm': _instance_norm,
        'aten::group_norm': _group_norm,
        'aten::size': _size,
    }
    for name, symbolic in own.items():
        torch.onnx.register_custom_op_symbolic(name, symbolic, opset)
    try:
        yield
    finally:
        for name in own:
            torch.onnx.unregister_custom_op_symbolic(name, opset)


def _batch_norm(g, features, weight, bias, mean, var, training, momentum, eps, cudnn):
    """Batch norm of one image with its own statistics is instance norm."""
    from torch.onnx import symbolic_opset14

    if not mean.node().mustBeNone():
        return symbolic_opset14.batch_norm(
            g, features, weight, bias, mean, var, training, momentum, eps, cudnn
        )
    return _normalized(g, features, (3, 2), weight, bias, eps)


def _instance_norm(g, features, weight, bias, mean, var, use_input_stats, momentum, eps, cudnn):
    """Instance norm; the graph has none with statistics of the training."""
    return _normalized(g, features, (3, 2), weight, bias, eps)


def _group_norm(g, features, groups, weight, bias, eps, cudnn):
    """Layer norm, which is what one group is."""
    from torch.onnx import symbolic_helper, symbolic_opset9

    if symbolic_helper._parse_arg(groups, 'i') != 1:
        return symbolic_opset9.group_norm(g, features, groups, weight, bias, eps, cudnn)
    return _normalized(g, features, (3, 2, 1), weight, bias, eps)


def _normalized(g, features, axes, weight, bias, eps):
    """Norm over axes in two passes; onnxruntime's own loses digits with every pixel."""
    from torch.onnx import symbolic_helper

    epsilon = g.op('Constant', value_t=torch.tensor(symbolic_helper._parse_arg(eps, 'f')))
    centred = g.op('Sub', features, _mean(g, features, axes))
    variance = _mean(g, g.op('Mul', centred, centred), axes)
    found = g.op('Div', centred, g.op('Sqrt', g.op('Add', variance, epsilon)))
    if not weight.node().mustBeNone():
        shape = g.op('Constant', value_t=torch.tensor([1, -1, 1, 1]))
        scale, shift = g.op('Reshape', weight, shape), g.op('Reshape', bias, shape)
        found = g.op('Add', g.op('Mul', found, scale), shift)
    found.setType(features.type())
    return found


def _mean(g, features, axes):
    """Mean over one axis after the other: sums stay short, and so exact."""
    for axis in axes:
        if g.opset < 18:
            features = g.op('ReduceMean', features, axes_i=[axis], keepdims_i=1)
        else:
            axis = g.op('Constant', value_t=torch.tensor([axis]))
            features = g.op('ReduceMean', features, axis, keepdims_i=1)
    return features


def _size(g, tensor, dim=None):
    """Channels are known; a kernel that is expanded to them has to be of known shape."""
    from torch.onnx import symbolic_helper, symbolic_opset9

    if dim is not None and symbolic_helper._maybe_get_const(dim, 'i') == 1:
        channels = symbolic_helper._get_tensor_dim_size(tensor, 1)
        if channels is not None:
            return g.op('Constant', value_t=torch.tensor(channels))
    return symbolic_opset9.size(g, tensor, dim)
