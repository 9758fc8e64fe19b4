"""Reading tensors that somebody else saved."""

import os
from collections.abc import Mapping

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
