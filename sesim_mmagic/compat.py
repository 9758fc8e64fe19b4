"""Repairs of MMagic: what MMagic 1.2.0 and MMEngine 0.10 need on a current stack.

Each repair says why it exists, which versions it is for and when it can go; each looks for the
fault first and leaves a healthy host alone. Nothing outside this file patches anything.

Repairs of expensive modules wait until somebody imports these, so that :func:`apply`, called by
``import sesim_mmagic``, costs milliseconds.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import io
import pickle
import re
import sys
import warnings
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType, SimpleNamespace

#: Names of the repairs that this process needed, in order.
applied: list[str] = []


def apply() -> None:
    """Repair what is broken now, and have the rest repaired when it is imported; idempotent."""
    silence_diffusers()
    silence_transformers()
    repair_mmcv_ext()
    _when_imported('numpy', repair_numpy_bool8)
    _when_imported('torch', repair_batch_norm_backward)
    _when_imported('mmengine.logging.history_buffer', repair_checkpoint_globals)
    _when_imported('mmengine.runner.checkpoint', repair_checkpoint_loader)
    _when_imported('mmengine.dist.utils', repair_init_dist)
    _when_imported('mmengine.model.wrappers.distributed', repair_ddp_device_ids)
    _when_imported('mmagic.models.utils.model_utils', repair_generation_init_weights)
    _when_imported('mmagic.evaluation.metrics.fid', repair_sqrtm_disp)
    _when_imported('mediapipe', repair_mediapipe_solutions)


def silence_diffusers() -> None:
    """Keep four warnings of diffusers from everybody who imports MMagic.

    Why: MMagic's models import names of diffusers that have moved, ten seconds into each command;
    nobody but MMagic's authors can change that. Any other warning is shown. For: MMagic <= 1.2.0.
    Goes when MMagic imports them from their new places.
    """
    moved = '(Dual)?Transformer2DModel(Output)?|UNet2DCondition(Output|Model)'
    warnings.filterwarnings(
        'ignore', rf'`({moved})` is deprecated', FutureWarning, r'diffusers\.models\.'
    )


def silence_transformers() -> None:
    """Keep PyTorch's warning about ``torch.jit.script`` from everybody who imports MMagic.

    Why: MMagic imports diffusers, that imports a speech model of transformers, and that has a
    function scripted. The warning is PyTorch's for every caller, so it is silenced only while that
    module is imported. For: transformers < 4.50 on torch >= 2.12. Goes with these.
    """
    _finder.silenced['transformers.models.vits.modeling_vits'] = '`torch.jit.script` is deprecated'


def _note(name: str) -> None:
    if name not in applied:
        applied.append(name)


class _RepairingFinder(MetaPathFinder):
    """Lets the other finders find a module, and runs its repair once it has been executed."""

    def __init__(self) -> None:
        self.repairs: dict[str, Callable[[ModuleType], None]] = {}
        #: Beginnings of a warning that a module is not to give while it is imported.
        self.silenced: dict[str, str] = {}

    def find_spec(self, name: str, path=None, target=None) -> ModuleSpec | None:
        if name not in self.repairs and name not in self.silenced:
            return None
        others = (f for f in sys.meta_path if f is not self and hasattr(f, 'find_spec'))
        spec = next(filter(None, (f.find_spec(name, path, target) for f in others)), None)
        if spec is None or not hasattr(spec.loader, 'exec_module'):
            return spec
        execute = spec.loader.exec_module

        def execute_and_repair(module: ModuleType) -> None:
            if name in self.silenced:
                with warnings.catch_warnings():
                    warnings.filterwarnings('ignore', re.escape(self.silenced[name]))
                    execute(module)
            else:
                execute(module)
            if name in self.repairs:
                self.repairs[name](module)

        # Set on the loader's instance: the module keeps its own loader, source and all.
        spec.loader.exec_module = execute_and_repair
        return spec


_finder = _RepairingFinder()


def _when_imported(name: str, repair: Callable[[ModuleType], None]) -> None:
    """Run ``repair(module)`` after each import of the module ``name``; now if it is imported."""
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    if name not in _finder.repairs and name in sys.modules:
        repair(sys.modules[name])
    _finder.repairs[name] = repair


def repair_numpy_bool8(np: ModuleType) -> None:
    """Give NumPy its old alias ``np.bool8`` back.

    Why: ``mmagic/utils/trans_utils.py`` names it; NumPy 2.0 removed it (NumPy 2.0 migration guide).
    For: MMagic <= 1.2.0 on NumPy >= 2. Goes with the first MMagic that writes ``np.bool_``.
    """
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # NumPy 1.24+ warns when the alias is only looked at
        if hasattr(np, 'bool8'):
            return
    np.bool8 = np.bool_
    _note('numpy_bool8')


def repair_mmcv_ext() -> None:
    """Put a placeholder where ``mmcv._ext`` is missing, i.e. when only mmcv-lite is installed.

    Why: ``import mmagic.models`` wants compiled operators, which translation never calls
    (open-mmlab/mmcv issue 2059). They can be looked up; calling one raises an error that names the
    package which has it. For: MMagic <= 1.2.0 with mmcv-lite. Goes when MMagic imports them lazily.
    """
    if 'mmcv._ext' in sys.modules:
        return
    mmcv = importlib.util.find_spec('mmcv')
    if mmcv and not PathFinder.find_spec('mmcv._ext', mmcv.submodule_search_locations):
        sys.modules['mmcv._ext'] = _MissingOperators('mmcv._ext')
        _note('mmcv_ext')


class _MissingOperators(ModuleType):
    """Stands for mmcv's compiled operators: any of them can be named, none can be called."""

    def __init__(self, name: str) -> None:
        super().__init__(name, 'Placeholder: mmcv-lite has no compiled operators.')
        # MMEngine reads the loader to tell mmcv from mmcv-lite; None keeps the answer "lite".
        self.__spec__ = ModuleSpec(name, loader=None)
        self.__file__ = __file__  # inspect and warnings want every module to have one

    def __getattr__(self, name: str):
        if name.startswith('__') and name.endswith('__'):
            raise AttributeError(f'module {self.__name__!r} has no attribute {name!r}')

        def missing(*args, **kwargs):
            raise RuntimeError(
                f"'{name}' is a compiled operator of mmcv, and the installed mmcv-lite has none. "
                'To use it replace mmcv-lite by the full package: pip uninstall mmcv-lite, '
                "then pip install 'mmcv>=2.0.0,<2.2.0'."
            )

        missing.__name__ = missing.__qualname__ = name
        return missing


#: Registrations with PyTorch's dispatcher; each holds as long as its object lives.
_libraries: list = []


def repair_batch_norm_backward(torch: ModuleType) -> None:
    """Let PyTorch's CPU backward of batch and instance norm read its tensors as they are stored.

    Why: ``native_batch_norm_backward`` reads input and incoming gradient in one order where both
    are dense and ``suggest_memory_format`` names one format for both. A dense channels-last tensor
    passes for contiguous there if the stride of a dimension of size 1, such as that of a batch of
    one, is not the usual one: views and matrix products leave such strides behind, also inside
    ``instance_norm``. Gradients are wrong then, in every precision, where values are right. The
    repair gives the kernel contiguous copies in these cases and in no others; it lies below
    autograd, so it holds for whatever calls the kernel. For: PyTorch up to 2.14 at least, looked
    for at each start; the repair itself needs 2.9. Goes when the oldest supported PyTorch compares
    the strides.
    """
    operator = torch.ops.aten.native_batch_norm_backward.default
    if not _misreads_gradients(torch, operator):
        return
    if not hasattr(torch.library, 'get_kernel'):
        warnings.warn(
            f'PyTorch {torch.__version__} computes wrong gradients of batch and instance norm on '
            'the CPU for batches of 1, which can be repaired from PyTorch 2.9 on: update it, or '
            'train on a GPU',
            stacklevel=2,
        )
        return
    kernel = torch.library.get_kernel(operator, 'CPU')

    def backward(keys, grad_output, images, *rest):
        if grad_output.is_contiguous() != images.is_contiguous() and (
            _hides_channels_last(torch, grad_output) or _hides_channels_last(torch, images)
        ):
            grad_output, images = grad_output.contiguous(), images.contiguous()
        return kernel.call_boxed(keys, grad_output, images, *rest)

    library = torch.library.Library('aten', 'IMPL')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # PyTorch says that a kernel is replaced
        library.impl(operator, backward, 'CPU', with_keyset=True)
    _libraries.append(library)
    _note('batch_norm_backward')


def _misreads_gradients(torch: ModuleType, operator: Callable) -> bool:
    """Whether the backward of a batch norm that changes nothing changes a gradient."""
    images = torch.zeros(1, 2, 2, 2, device='cpu')
    gradient = torch.arange(8.0, device='cpu').as_strided(images.shape, (1, 1, 4, 2))
    mean, variance = torch.zeros(2, device='cpu'), torch.ones(2, device='cpu')
    found, _, _ = operator(
        gradient, images, None, mean, variance, None, None, False, 0.0, [True, False, False]
    )
    return not torch.equal(found, gradient)


def _hides_channels_last(torch: ModuleType, images) -> bool:
    """Whether a tensor is channels-last and a stride of a dimension of size 1 does not show it."""
    layout = {4: torch.channels_last, 5: torch.channels_last_3d}.get(images.dim())
    if layout is None or not images.is_contiguous(memory_format=layout):
        return False
    usual = torch.empty_like(images, device='meta', memory_format=layout)
    return images.stride() != usual.stride()


def repair_checkpoint_globals(history_buffer: ModuleType) -> None:
    """Let MMEngine's checkpoints be loaded with ``weights_only=True``, the default of torch 2.6.

    Why: a Runner's checkpoint holds ``HistoryBuffer`` and NumPy arrays, which torch refuses unless
    they are allowed by name (open-mmlab/mmengine issue 1655; pull request 1650 would turn the
    safety off). ``HistoryBuffer`` also pickles its methods through the builtin ``getattr``: what
    is allowed under that name looks up those methods only, so that a stranger's checkpoint cannot
    reach for more. For: MMEngine <= 0.10.7 on torch >= 2.6. Goes when MMEngine allows its types.
    """
    import numpy as np
    import torch

    buffer_type = history_buffer.HistoryBuffer
    file = io.BytesIO()
    torch.save({'log': buffer_type([1.0], [1]), 'score': np.float64(1)}, file)
    file.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # torch 2.4 and 2.5 announce the new default here
        try:
            torch.load(file)
            return
        except pickle.UnpicklingError:
            pass
    reconstruct = np.zeros(0).__reduce__()[0]
    scalar = np.float64(0).__reduce__()[0]
    allowed = [buffer_type, np.ndarray, np.dtype, *(type(np.dtype(c)) for c in '?bhilqBHILQefd')]
    allowed.append((functools.partial(_buffer_method, buffer_type), 'builtins.getattr'))
    for core in ('core', '_core'):  # NumPy 2 renamed it; files of either version are to load
        allowed.append((reconstruct, f'numpy.{core}.multiarray._reconstruct'))
        allowed.append((scalar, f'numpy.{core}.multiarray.scalar'))
    torch.serialization.add_safe_globals(allowed)
    _note('checkpoint_globals')


def _buffer_method(buffer_type: type, owner: object, name: str) -> Callable:
    """``getattr(HistoryBuffer, name)`` for its public methods, and for nothing else."""
    method = vars(buffer_type).get(name) if owner is buffer_type else None
    if name.startswith('_') or not inspect.isfunction(method):
        raise pickle.UnpicklingError(f'The checkpoint asks for attribute {name!r} of {owner!r}')
    return method


def repair_checkpoint_loader(checkpoint: ModuleType) -> None:
    """Let MMEngine read checkpoints with the reader of this package, from files and addresses.

    Why: ``torch.load``, which it calls, does not compare the checksums that torch wrote, so that a
    damaged file is tested and resumed without a word; ``load_url`` unpickles whatever it downloads
    and tells two files of the same name not apart; and ``Runner.resume`` runs ``meta['config']``,
    a text that old versions wrote. Every runner gets its checkpoints here, also that of
    ``mim train`` and of MMagic's own tools. For: MMEngine <= 0.10.7. Goes when MMEngine has a
    reader that refuses what ``sesim_mmagic.utils.checkpoints`` refuses.
    """
    from mmengine.dist import barrier, is_main_process

    from sesim_mmagic.utils.checkpoints import check_checkpoint, read_checkpoint

    def load_from_local(filename: str, map_location=None) -> dict:
        content = read_checkpoint(filename, map_location=map_location)
        content.get('meta', {}).pop('config', None)
        return content

    def load_from_http(filename: str, map_location=None, *unused, **unused_too) -> dict:
        if is_main_process():
            check_checkpoint(filename)
        barrier()  # the others find it downloaded
        return load_from_local(filename, map_location)

    # By these names the loaders of other addresses ('torchvision://', 'openmmlab://') ask for it.
    checkpoint.load_from_http = load_from_http
    checkpoint.load_from_local = load_from_local
    register = checkpoint.CheckpointLoader.register_scheme
    register(prefixes='', loader=load_from_local, force=True)
    register(prefixes=('http://', 'https://', 'file://'), loader=load_from_http, force=True)
    _note('checkpoint_loader')


def _without_accelerator() -> bool:
    from mmengine.device import get_device

    return get_device() == 'cpu'


def repair_init_dist(dist_utils: ModuleType) -> None:
    """Let the launchers (pytorch, slurm, mpi) work on a machine without a GPU, over gloo.

    Why: they select the GPU of the local rank although there is none, and default to NCCL. For:
    MMEngine <= 0.10.7 without an accelerator. Goes when ``init_dist`` looks at the device first.
    """
    if not _without_accelerator():
        return
    for launcher in ('_init_dist_pytorch', '_init_dist_slurm', '_init_dist_mpi'):
        init = getattr(dist_utils, launcher, None)
        if init is not None and not hasattr(init, '__wrapped__'):
            setattr(dist_utils, launcher, _over_gloo(init))
            _note('init_dist')


def _over_gloo(init: Callable[..., None]) -> Callable[..., None]:
    import torch

    @functools.wraps(init)
    def init_without_gpu(backend: str, *args, **kwargs) -> None:
        set_device = torch.cuda.set_device
        torch.cuda.set_device = lambda device: None
        try:
            init('gloo' if backend == 'nccl' else backend, *args, **kwargs)
        finally:
            torch.cuda.set_device = set_device

    return init_without_gpu


def repair_ddp_device_ids(wrappers: ModuleType) -> None:
    """Wrap models on the CPU with ``device_ids=None``.

    Why: ``Runner.wrap_model`` always passes ``device_ids=[LOCAL_RANK]``, which
    ``DistributedDataParallel`` refuses for parameters on the CPU. (The class repaired here also
    wraps the parts for ``MMSeparateDistributedDataParallel``.) The second half of
    :func:`repair_init_dist`: for the same versions, and goes with it.
    """
    wrapper = wrappers.MMDistributedDataParallel
    if not _without_accelerator() or hasattr(wrapper.__init__, '__wrapped__'):
        return
    init = wrapper.__init__

    @functools.wraps(init)
    def init_on_cpu(self, module, *args, **kwargs) -> None:
        if all(parameter.device.type == 'cpu' for parameter in module.parameters()):
            kwargs['device_ids'] = None
        init(self, module, *args, **kwargs)

    wrapper.__init__ = init_on_cpu
    _note('ddp_device_ids')


def repair_generation_init_weights(model_utils: ModuleType) -> None:
    """Let MMagic initialise networks with layers other than convolution, linear and batch norm.

    Why: ``generation_init_weights`` reports what it did to a layer in ``init_info``, unbound for
    every other layer: training CycleGAN or Pix2Pix ends in ``UnboundLocalError`` (open-mmlab/mmagic
    issue 2109; the fix, pull request 2123, was never merged). Nothing happened to these layers, so
    nothing is to be reported. For: MMagic <= 1.2.0. Goes with a release that binds ``init_info``.
    """
    from torch import nn

    host = getattr(model_utils, 'generation_init_weights', None)
    probe = nn.Identity()
    probe._params_init_info = {}  # MMEngine's mark on a module that is being initialised
    if host is None or not _leaves_init_info_unbound(host, probe):
        return

    @functools.wraps(host)
    def generation_init_weights(module: nn.Module, *args, **kwargs) -> None:
        apply_to_layers = module.apply

        def apply_tolerantly(init: Callable[[nn.Module], None]) -> nn.Module:
            return apply_to_layers(lambda layer: _leaves_init_info_unbound(init, layer))

        module.apply = apply_tolerantly  # of this instance, for the length of this call
        try:
            host(module, *args, **kwargs)
        finally:
            del module.apply

    # Editors imported earlier hold the broken function under its own name.
    for imported in [m for name, m in sys.modules.items() if name.startswith('mmagic.')]:
        if vars(imported).get('generation_init_weights') is host:
            imported.generation_init_weights = generation_init_weights
    _note('generation_init_weights')


def _leaves_init_info_unbound(init: Callable, module: object) -> bool:
    """Call ``init(module)`` and tell whether it ended in the fault described above."""
    try:
        init(module)
    except UnboundLocalError as error:
        if 'init_info' not in str(error):
            raise
        return True
    return False


def repair_sqrtm_disp(fid: ModuleType) -> None:
    """Give MMagic's FID a matrix square root that takes ``disp``.

    Why: MMagic unpacks ``linalg.sqrtm(matrix, disp=False)`` into the root and an error estimate;
    SciPy 1.18 removed ``disp``. For: MMagic <= 1.2.0 on SciPy >= 1.18. Goes when MMagic calls
    ``sqrtm`` without it.
    """
    linalg = fid.linalg
    if 'disp' in inspect.signature(linalg.sqrtm).parameters:
        return

    @functools.wraps(linalg.sqrtm)
    def sqrtm(matrix, disp=True):
        root = linalg.sqrtm(matrix)
        return root if disp else (root, float('nan'))  # nobody reads the error estimate

    fid.linalg = SimpleNamespace(**{**vars(linalg), 'sqrtm': sqrtm})
    _note('sqrtm_disp')


def repair_mediapipe_solutions(mediapipe: ModuleType) -> None:
    """Put a placeholder where mediapipe's old ``solutions`` were.

    Why: ``mmagic.apis`` imports editors that import controlnet_aux, which reads names, colours and
    edges of faces and hands from them as it is imported. They can be looked up; what is detected
    with them raises an error. For: MMagic <= 1.2.0, controlnet_aux <= 0.0.10, mediapipe >= 1. Goes
    with the first controlnet_aux that does without.
    """
    if not hasattr(mediapipe, 'solutions'):
        mediapipe.solutions = _MissingSolutions('mediapipe.solutions')
        _note('mediapipe_solutions')


class _MissingSolutions(ModuleType):
    """Stands for mediapipe's solutions and all in them: named, described and gone through."""

    def __getattr__(self, name: str) -> _MissingSolutions:
        if name.startswith('__') and name.endswith('__'):
            raise AttributeError(f'module {self.__name__!r} has no attribute {name!r}')
        return _MissingSolutions(f'{self.__name__}.{name}')

    def __iter__(self):
        return iter(())

    def __call__(self, *args, **kwargs) -> _MissingSolutions:
        if self.__name__.endswith('.DrawingSpec'):  # a colour and a thickness, made on import
            return self
        raise RuntimeError(
            f"'{self.__name__}' is gone from the installed mediapipe, and the detectors of "
            "controlnet_aux need it: pip install 'mediapipe<0.11', if the other packages bear it."
        )
