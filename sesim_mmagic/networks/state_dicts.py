"""Weights of networks that somebody else trained: the setting ``pretrained`` of every network."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from sesim_mmagic.utils.checkpoints import read_checkpoint, weights_of
from sesim_mmagic.utils.checks import check_ints, check_texts
from sesim_mmagic.utils.downloads import download
from sesim_mmagic.utils.messages import first_lines, in_one_line
from sesim_mmagic.utils.weights import differences

Network = TypeVar('Network', bound=nn.Module)


class WeightsMissing(FileNotFoundError):
    """A file of weights that does not exist or cannot be downloaded.

    Args:
        problem (str): What is missing, a sentence.
        advice (str): Which setting may hold something else; a command has an option for it.
    """

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(f'{problem} {advice}')
        self.problem = problem


def read_state_dict(path: str, what: str, advice: str) -> Mapping[str, Tensor]:
    """State dict from a file, on the CPU; nothing but tensors is unpickled.

    Args:
        path (str): The file.
        what (str): What it should hold, for messages.
        advice (str): What to do where there is no file, for messages.

    Raises:
        WeightsMissing: A ``FileNotFoundError``, if there is no file.
        ValueError: If the file is not a readable state dict.
    """
    if not os.path.isfile(path):
        raise WeightsMissing(f'{what} {path!r} do not exist;', advice)
    if path.endswith('.safetensors'):
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(f'{what} {path!r} cannot be read: {in_one_line(error)}.') from None
    return weights_of(read_checkpoint(path, what))


def copy_weights(
    network: nn.Module,
    path: str,
    what: str,
    advice: str,
    name_in_file: Callable[[str], str] = str,
) -> None:
    """Copy weights from a file into a network; what else the file holds is left out.

    Args and errors are those of :func:`read_state_dict`; ``name_in_file`` gives the name in the
    file of a tensor of the network.

    Raises:
        ValueError: Also if the file does not hold this network.
    """
    state_dict = read_state_dict(path, what, advice)
    # A frozen network does not count batches, and files of old versions of torch lack the counts.
    names = [name for name in network.state_dict() if not name.endswith('num_batches_tracked')]
    expected = {name_in_file(name): network.state_dict()[name] for name in names}
    lines = differences(expected, {k: v for k, v in state_dict.items() if k in expected})
    if lines:
        raise ValueError(f'{what} {path!r} do not fit: {first_lines(lines)}; {advice}')
    network.load_state_dict({k: state_dict[name_in_file(k)] for k in names}, strict=False)


def check_pretrained(
    owner: object, pretrained: str | None, seed: int | None, published: str = 'torchvision'
) -> None:
    """Raise ``ValueError`` unless weights are named, or random ones are asked for by a seed."""
    check_texts(owner, also=(None,), pretrained=pretrained)
    check_ints(owner, 0, also=(None,), seed=seed)
    if (pretrained is None) != (seed is not None):
        raise ValueError(
            f'{type(owner).__name__}: give pretrained={published!r} or a path, or ask for random '
            f'weights with pretrained=None and a seed; got pretrained={pretrained!r}, seed={seed!r}'
        )


def load_pretrained(
    network: nn.Module,
    pretrained: str,
    what: str,
    url: str,
    published: str = 'torchvision',
    sha256: str | None = None,
    name_in_file: Callable[[str], str] = str,
) -> None:
    """Copy published weights into a network, downloaded once, or those of a file.

    A download has the name in the cache of ``torch.hub`` that torchvision and others give it.

    Args:
        network (nn.Module): The network.
        pretrained (str): ``published``, or the path of a state dict.
        what (str): What it should hold, for messages, such as 'VGG16 weights'.
        url (str): Address of the published file.
        published (str): What ``pretrained`` is where that file is wanted.
        sha256 (str, optional): First digits of its checksum. Defaults to None: those that the
            name ends in, as names of published weights do.
        name_in_file (Callable): Name in the file of a tensor of the network.

    Raises:
        WeightsMissing: A ``FileNotFoundError``, if there is no file or no download.
        ValueError: If the file does not hold this network.
    """
    path = Path(pretrained)
    if pretrained == published:
        path = Path(torch.hub.get_dir(), 'checkpoints', os.path.basename(url))
    if pretrained == published and not path.is_file():
        in_name = re.search(r'-([0-9a-f]{8,})\.\w+$', path.name)
        try:
            download(url, path, sha256 or (in_name[1] if in_name else None))
        except OSError as error:
            problem = f'cannot download the {what}: {error}'
            raise WeightsMissing(problem, 'Or set pretrained to its path.') from None
    advice = (
        f'set pretrained to the path of the file {url}, to {published!r} to download it, or to '
        'None with a seed for random weights'
    )
    copy_weights(network, str(path), what, advice, name_in_file)


def draw_he_normal(network: nn.Module, seed: int) -> None:
    """Draw the weights of convolutions and linear layers (He normal), biases 0, norms as made."""
    generator = torch.Generator().manual_seed(seed)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            drawn = torch.empty(layer.weight.shape)
            nn.init.kaiming_normal_(drawn, nonlinearity='relu', generator=generator)
            layer.weight.data.copy_(drawn)
            if layer.bias is not None:
                layer.bias.data.zero_()
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()


def freeze(network: Network) -> Network:
    """Turn parameters and buffers into buffers outside of checkpoints; it works as before.

    No optimizer finds them then, no gradient is computed for them, and a checkpoint does not grow
    by weights whose source its config names.
    """
    for module in network.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, parameter.detach(), persistent=False)
        for name, buffer in list(module.named_buffers(recurse=False)):
            module.register_buffer(name, buffer, persistent=False)
    return network
