"""Reading tensors that somebody else saved."""

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def read_state_dict(path: str, what: str, advice: str) -> Mapping[str, Tensor]:
    """State dict from a file, on the CPU; nothing but tensors is unpickled.

    Args:
        path (str): The file.
        what (str): What it should hold, for messages.
        advice (str): What to do where there is no file, for messages.

    Returns:
        Mapping[str, Tensor]: Tensors by name.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If the file is not a readable state dict.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f'{what} {path!r} do not exist; {advice}')
    try:
        state_dict = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:
        raise ValueError(f'{what} {path!r} cannot be read: {error}') from error
    if not isinstance(state_dict, Mapping):
        raise ValueError(f'{what} {path!r} hold no state dict')
    return state_dict


def download_torchvision_weights(weights: Any, what: str, setting: str) -> Mapping[str, Tensor]:
    """State dict of one of torchvision's networks, downloaded once, then cached.

    Args:
        weights (WeightsEnum): Entry of torchvision's weights.
        what (str): What it is, for messages.
        setting (str): The setting that may hold a path instead, for messages.

    Raises:
        FileNotFoundError: If the file is neither cached nor can be downloaded.
    """
    try:
        return weights.get_state_dict(progress=True, check_hash=True)
    except (OSError, RuntimeError) as error:
        cache = os.path.join(torch.hub.get_dir(), 'checkpoints', os.path.basename(weights.url))
        raise FileNotFoundError(
            f'cannot download the {what} {weights.url} ({error}); fetch the file on a machine '
            f'with network access and put it at {cache}, or set {setting} to its path'
        ) from error
