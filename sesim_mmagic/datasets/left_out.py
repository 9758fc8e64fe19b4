"""The list of pictures that a training leaves out, which its checkpoints keep."""

import logging
from collections.abc import Sequence
from typing import Any

from mmengine.dist import broadcast_object_list
from mmengine.logging import MessageHub, print_log

from .picture_folder import CheckedPictures

_KEY = 'left_out_pictures'


def settle_left_out(hub: MessageHub, datasets: Sequence[Any], resumed: bool) -> bool:
    """Let the data sets of all ranks leave out the same pictures, those of the checkpoint if any.

    A training that goes on has the order of its samples from the number of its pictures. So where
    a picture was repaired, or another one broke, the list of the checkpoint holds: the one stays
    out, and for the other a picture stands in when its turn comes.

    Args:
        hub (MessageHub): What checkpoints keep besides the weights; the list is noted there.
        datasets (Sequence[Dataset]): Those of training and validation; others than
            ``CheckedPictures`` are passed over.
        resumed (bool): Whether the hub comes from a checkpoint.

    Returns:
        bool: Whether the pictures of a data set changed.
    """
    checked = [dataset for dataset in datasets if isinstance(dataset, CheckedPictures)]
    here = sorted({name for dataset in checked for name in dataset.left_out})
    shared = [here]
    broadcast_object_list(shared)  # file systems of ranks may differ for a moment
    names = shared[0]
    if resumed:  # checkpoints of before there was a list had all pictures
        names = hub.get_info(_KEY, [])
        _say_differences(set(names), set(here))
    hub.update_info(_KEY, names)
    if names == here:
        return False
    for dataset in checked:
        dataset.leave_out(names)
    return True


def _say_differences(kept: set[str], here: set[str]) -> None:
    texts = {
        'can be used now; this training goes on without it, since its checkpoint left it out': (
            kept - here
        ),
        'cannot be used now; others stand in for it, since the checkpoint had it': here - kept,
    }
    for text, names in texts.items():
        for name in sorted(names):
            print_log(f'picture {name!r} {text}', 'current', logging.WARNING)
