"""Repairs of MMEngine; the table of ``compat`` says why."""

import functools
import inspect
import pickle
from collections.abc import Callable
from types import ModuleType
from typing import Any

from .importing import note


def repair_checkpoint_globals(history_buffer: ModuleType) -> None:
    """Let MMEngine's checkpoints be loaded with ``weights_only=True``, the default of torch 2.6.

    ``HistoryBuffer`` also pickles its methods through the builtin ``getattr``: what is allowed
    under that name looks up those methods only, so that a stranger's checkpoint cannot reach for
    more.
    """
    import numpy as np
    import torch

    if not hasattr(torch.serialization, 'add_safe_globals'):
        return
    buffer_type = history_buffer.HistoryBuffer
    reconstruct = np.zeros(0).__reduce__()[0]
    scalar = np.float64(0).__reduce__()[0]
    allowed = [buffer_type, np.ndarray, np.dtype, *(type(np.dtype(c)) for c in '?bhilqBHILQefd')]
    allowed.append((functools.partial(_buffer_method, buffer_type), 'builtins.getattr'))
    for core in ('core', '_core'):  # NumPy 2 renamed it; files of either version are to load
        allowed.append((reconstruct, f'numpy.{core}.multiarray._reconstruct'))
        allowed.append((scalar, f'numpy.{core}.multiarray.scalar'))
    torch.serialization.add_safe_globals(allowed)
    note('checkpoint_globals')


def _buffer_method(buffer_type: type, owner: object, name: str) -> Callable:
    """``getattr(HistoryBuffer, name)`` for its public methods, and for nothing else."""
    method = vars(buffer_type).get(name) if owner is buffer_type else None
    if name.startswith('_') or not inspect.isfunction(method):
        raise pickle.UnpicklingError(f'The checkpoint asks for attribute {name!r} of {owner!r}')
    return method


def repair_checkpoint_loader(checkpoint: Any) -> None:
    """Let MMEngine read checkpoints with the reader of this package, from files and addresses.

    Every runner gets its checkpoints here, also that of ``mim train`` and of MMagic's own tools.
    """
    from mmengine.dist import barrier, is_main_process

    from sesim_mmagic.utils.checkpoints import read_checkpoint

    def load_from_local(filename: str, map_location: Any = None) -> dict:
        content = read_checkpoint(filename, map_location=map_location)
        content.get('meta', {}).pop('config', None)  # a text that ``Runner.resume`` would run
        return content

    def load_from_http(
        filename: str, map_location: Any = None, *unused: Any, **unused_too: Any
    ) -> dict:
        if is_main_process():
            read_checkpoint(filename)
        barrier()  # the others find it downloaded
        return load_from_local(filename, map_location)

    # By these names the loaders of other addresses ('torchvision://', 'openmmlab://') ask for it.
    checkpoint.load_from_http = load_from_http
    checkpoint.load_from_local = load_from_local
    register = checkpoint.CheckpointLoader.register_scheme
    register(prefixes='', loader=load_from_local, force=True)
    register(prefixes=('http://', 'https://', 'file://'), loader=load_from_http, force=True)
    note('checkpoint_loader')


def _without_accelerator() -> bool:
    from mmengine.device import get_device

    return get_device() == 'cpu'


def repair_init_dist(dist_utils: ModuleType) -> None:
    """Let the launchers (pytorch, slurm, mpi) work on a machine without a GPU, over gloo."""
    if not _without_accelerator():
        return
    for launcher in ('_init_dist_pytorch', '_init_dist_slurm', '_init_dist_mpi'):
        init = getattr(dist_utils, launcher, None)
        if init is not None and not hasattr(init, '__wrapped__'):
            setattr(dist_utils, launcher, _over_gloo(init))
            note('init_dist')


def _over_gloo(init: Callable[..., None]) -> Callable[..., None]:
    import torch

    @functools.wraps(init)
    def init_without_gpu(backend: str, *args: Any, **kwargs: Any) -> None:
        set_device = torch.cuda.set_device
        torch.cuda.set_device = lambda device: None
        try:
            init('gloo' if backend == 'nccl' else backend, *args, **kwargs)
        finally:
            torch.cuda.set_device = set_device

    return init_without_gpu


def repair_ddp_device_ids(wrappers: ModuleType) -> None:
    """Wrap models on the CPU with ``device_ids=None``.

    The class repaired here also wraps the parts for ``MMSeparateDistributedDataParallel``.
    """
    wrapper = wrappers.MMDistributedDataParallel
    init = wrapper.__init__
    if not _without_accelerator() or hasattr(init, '__wrapped__'):
        return

    @functools.wraps(init)
    def init_on_cpu(self: Any, module: Any, *args: Any, **kwargs: Any) -> None:
        if all(parameter.device.type == 'cpu' for parameter in module.parameters()):
            kwargs['device_ids'] = None
        init(self, module, *args, **kwargs)

    wrapper.__init__ = init_on_cpu
    note('ddp_device_ids')
