"""The weights of feature networks are not in checkpoints; their checksums are."""

from torch import nn

from sesim_mmagic.networks.frozen_features import FrozenFeatures

KEY = 'feature_checksums'


def feature_checksums(model: nn.Module) -> dict[str, str]:
    """Checksum of the weights of each feature network that has read them, by its name."""
    networks = {n: m for n, m in model.named_modules() if isinstance(m, FrozenFeatures)}
    return {name: net.checksum for name, net in networks.items() if net.checksum is not None}


def check_features(model: nn.Module, checkpoint: dict, path: str) -> None:
    """Refuse to resume a training whose losses saw images through other weights.

    Raises:
        ValueError: The weights of a feature network are not those of the checkpoint.
    """
    saved = checkpoint.get(KEY, {})
    for name, checksum in feature_checksums(model).items():
        if name in saved and saved[name] != checksum:
            raise ValueError(
                f"Checkpoint '{path}' was trained with other weights of {name} (checksum "
                f'{saved[name]}, now {checksum}). Set its pretrained or seed as it was, or leave '
                f"--resume out and set load_from='{path}': a new training from these weights."
            )
