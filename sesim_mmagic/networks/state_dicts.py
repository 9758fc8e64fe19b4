"""Weights of networks that somebody else trained."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from sesim_mmagic.utils.checkpoints import read_checkpoint, weights_of
from sesim_mmagic.utils.downloads import download


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

    Returns:
        Mapping[str, Tensor]: Tensors by name.

    Raises:
        WeightsMissing: A ``FileNotFoundError``, if there is no file.
        ValueError: If the file is not a readable state dict.
    """
    if not os.path.isfile(path):
        raise WeightsMissing(f'{what} {path!r} do not exist;', advice)
    return weights_of(read_checkpoint(path, what))


def download_state_dict(
    url: str, what: str, setting: str, sha256: str | None = None
) -> Mapping[str, Tensor]:
    """State dict from an address, downloaded once, then in the cache of ``torch.hub``.

    It has the name there that torchvision and others give it, so that they share the file.

    Args:
        url (str): The address.
        what (str): What it is, for messages.
        setting (str): The setting that may hold a path instead, for messages.
        sha256 (str, optional): First digits of the checksum. Defaults to None: those that the
            name ends in, as names of published weights do.

    Raises:
        WeightsMissing: If the file is neither cached nor can be downloaded.
        ValueError: If it is not the file that was published, or not a readable state dict.
    """
    path = Path(torch.hub.get_dir(), 'checkpoints', os.path.basename(url))
    if not path.is_file():
        in_name = re.search(r'-([0-9a-f]{8,})\.\w+$', path.name)
        try:
            download(url, path, sha256 or (in_name[1] if in_name else None))
        except OSError as error:
            raise WeightsMissing(
                f'cannot download the {what}: {error}', f'Or set {setting} to its path.'
            ) from None
    return weights_of(read_checkpoint(path, what))
