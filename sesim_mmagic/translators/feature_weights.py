"""Weights that never train are not in checkpoints; their checksums are."""

from torch import nn

from sesim_mmagic.networks import ProjectedDiscriminator
from sesim_mmagic.networks.frozen_features import FrozenFeatures
from sesim_mmagic.registry import unwrapped

KEY = 'feature_checksums'


def feature_checksums(model: nn.Module) -> dict[str, str]:
    """Checksums by names: of feature networks that have read weights, of discriminators' mixing."""
    networks = {
        f'{child}.{name}' if name else child: network
        for child, module in model.named_children()
        for name, network in unwrapped(module).named_modules()  # of one name on any number of ranks
        if isinstance(network, FrozenFeatures | ProjectedDiscriminator)
    }
    return {name: net.checksum for name, net in networks.items() if net.checksum is not None}


def check_features(model: nn.Module, checkpoint: dict, path: str) -> None:
    """Refuse to resume a training that saw images through other weights.

    Raises:
        ValueError: The weights of a feature network or a mixing are not those of the checkpoint.
    """
    saved = checkpoint.get(KEY, {})
    for name, checksum in feature_checksums(model).items():
        if name in saved and saved[name] != checksum:
            raise ValueError(
                f"Checkpoint '{path}' was trained with other weights of {name} (checksum "
                f'{saved[name]}, now {checksum}). Set its pretrained or seed as it was, or leave '
                f"--resume out and set load_from='{path}': a new training from these weights."
            )
