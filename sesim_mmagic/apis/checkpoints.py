"""Checkpoints are read, and never run."""

import pickle
import zipfile
from pathlib import Path

import torch

from sesim_mmagic.apis.launch import check_checkpoint


def read_weights(path):
    """Read the weights of a checkpoint, on the CPU; nothing of it is run.

    Args:
        path (str): Path or URL.

    Returns:
        dict[str, Tensor]: Weights by name.

    Raises:
        FileNotFoundError: The checkpoint does not exist.
        ValueError: It is damaged, or holds objects that could run code, or no weights.
    """
    return weights_of(read_checkpoint(path), path)


def weights_of(content, path):
    """Weights by name in the content of a checkpoint; a ValueError if there are none."""
    weights = content.get('state_dict', content)
    if not isinstance(weights, dict):
        raise ValueError(f"Checkpoint '{path}' holds no weights: its state_dict is no dictionary.")
    return weights


def read_checkpoint(path):
    """Read a checkpoint, on the CPU; nothing of it is run.

    Args:
        path (str): Path or URL.

    Returns:
        dict: Weights, or ``state_dict``, ``meta`` and whatever else was saved.

    Raises:
        FileNotFoundError: The checkpoint does not exist.
        ValueError: It is damaged, holds objects that could run code, or is no dictionary.
    """
    check_checkpoint(path)
    try:
        if '://' in path:
            content = torch.hub.load_state_dict_from_url(
                path, map_location='cpu', weights_only=True
            )
        else:
            _check_sums(Path(path).expanduser())
            content = torch.load(Path(path).expanduser(), map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"Checkpoint '{path}' was not loaded, it holds objects that could run code: {error}"
        ) from None
    except (RuntimeError, EOFError) as error:
        raise ValueError(f"Checkpoint '{path}' is damaged: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"Checkpoint '{path}' holds no dictionary of weights.")
    return content


def _check_sums(checkpoint):
    """Raise an error if a sum of the zip file is off; torch writes them and never looks."""
    if not zipfile.is_zipfile(checkpoint):  # written before torch 1.6
        return
    with zipfile.ZipFile(checkpoint) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(
            f"Checkpoint '{checkpoint}' is damaged, its part '{damaged}' has another sum than when "
            'it was written: copy it again, or use an earlier one.'
        )
