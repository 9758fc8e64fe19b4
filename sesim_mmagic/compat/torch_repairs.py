"""A repair of PyTorch; the table of ``compat`` says which versions need it."""

import warnings
from collections.abc import Callable
from types import ModuleType

from .importing import note

#: Registrations with PyTorch's dispatcher; each holds as long as its object lives.
_libraries: list = []


def repair_batch_norm_backward(torch: ModuleType) -> None:
    """Let PyTorch's CPU backward of batch and instance norm read its tensors as they are stored.

    ``native_batch_norm_backward`` reads input and incoming gradient in one order where both are
    dense and ``suggest_memory_format`` names one format for both. A dense channels-last tensor
    passes for contiguous there if the stride of a dimension of size 1, such as that of a batch of
    one, is not the usual one: views and matrix products leave such strides behind, also inside
    ``instance_norm``. Gradients are wrong then, in every precision, where values are right. The
    repair gives the kernel contiguous copies in these cases and in no others; it lies below
    autograd, so it holds for whatever calls the kernel.
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
    note('batch_norm_backward')


def _misreads_gradients(torch: ModuleType, operator: Callable) -> bool:
    """Whether the backward of a batch norm that changes nothing changes a gradient."""
    images = torch.zeros(1, 2, 2, 2, device='cpu')
    gradient = torch.arange(8.0, device='cpu').as_strided(images.shape, (1, 1, 4, 2))
    mean, variance = torch.zeros(2, device='cpu'), torch.ones(2, device='cpu')
    returned, _, _ = operator(
        gradient, images, None, mean, variance, None, None, False, 0.0, [True, False, False]
    )
    return not torch.equal(returned, gradient)


def _hides_channels_last(torch: ModuleType, images) -> bool:
    """Whether a tensor is channels-last and a stride of a dimension of size 1 does not show it."""
    layout = {4: torch.channels_last, 5: torch.channels_last_3d}.get(images.dim())
    if layout is None or not images.is_contiguous(memory_format=layout):
        return False
    usual = torch.empty_like(images, device='meta', memory_format=layout)
    return images.stride() != usual.stride()
