"""What the analysis tools share: pictures, trained losses, figures."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from sesim_mmagic.apis import config_files, read_weights
from sesim_mmagic.engine.map_figure import Cell, draw_maps
from sesim_mmagic.engine.pictures import write_picture
from sesim_mmagic.losses.appearance import appearance_view
from sesim_mmagic.networks.timm_models import stage_layers
from sesim_mmagic.registry import MODELS
from sesim_mmagic.utils.images import list_images, read_picture
from sesim_mmagic.utils.names import pictures_by_name
from sesim_mmagic.utils.weights import adapt_names, differences


def read_square(path: str | Path, side: int) -> np.ndarray:
    """Read a picture and resize it, with a line about it, unless it has the size already.

    Returns:
        np.ndarray: Shape (side, side, 3), BGR, uint8.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it is not a picture, or ``side`` is below 16.
    """
    if side < 16:
        raise ValueError(f'--side must be at least 16, got {side}')
    picture = read_picture(path)
    height, width = picture.shape[:2]
    if (height, width) == (side, side):
        return picture
    print(f'{path}: {width} x {height} pixels, resized to {side} x {side}')
    method = cv2.INTER_AREA if side < max(height, width) else cv2.INTER_CUBIC
    return cv2.resize(picture, (side, side), interpolation=method)


def pairs_of(folder_a: str, folder_b: str, limit: int | None) -> list[tuple[Path, Path]]:
    """Paths of the pictures of one name in two folders, the first ones by name.

    Raises:
        FileNotFoundError: If a folder is missing.
        ValueError: If there are fewer than two pairs.
    """
    in_a, in_b = (pictures_by_name(list_images(folder)) for folder in (folder_a, folder_b))
    names = sorted(in_a.keys() & in_b.keys())[:limit]
    if len(names) < 2:
        raise ValueError(
            f'{folder_a} ({len(in_a)} pictures) and {folder_b} ({len(in_b)}) have {len(names)} '
            'names in common; pairs are pictures of one name, and at least two are needed'
        )
    return [(in_a[name], in_b[name]) for name in names]


def recoloured(picture: np.ndarray, seed: int) -> np.ndarray:
    """The picture in other colours (see ``appearance_view``), the same ones for the same seed."""
    rgb = torch.from_numpy(picture[..., ::-1].copy()).permute(2, 0, 1)
    view = appearance_view(rgb, torch.Generator().manual_seed(seed), colour_map=1.0)
    return view.permute(1, 2, 0).flip(2).contiguous().numpy()


def to_images(*pictures: np.ndarray) -> torch.Tensor:
    """N arrays (H, W, 3), BGR, uint8, to a tensor (N, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.stack(pictures)).movedim(-1, 1).float() / 127.5 - 1


def read_config(path: str | Path) -> Config:
    """Read a config that has a structure loss, and take its default scope.

    Raises:
        FileNotFoundError: If the file is missing.
        CommandError: If it is not a config.
        ValueError: If its model has no structure loss.
    """
    config = config_files.read_config(path)
    if not config.get('model', {}).get('structure_loss'):
        raise ValueError(f'{path}: its model has no structure_loss; give a config with one')
    init_default_scope(config.get('default_scope', 'mmagic'))
    return config


def layers_of(feature_net: dict) -> dict[str, int]:
    """Layers of a feature network that are worth a look, and their strides, fine to coarse."""
    if 'model' in feature_net:
        return stage_layers(feature_net['model'])
    return dict(relu1_2=1, relu2_2=2, relu3_1=4, relu3_3=4, relu4_1=8, relu4_3=8)


def build(settings: dict, seed: int = 0) -> torch.nn.Module:
    """Build a loss or a network; what it draws follows from ``seed``."""
    torch.manual_seed(seed)
    return MODELS.build(settings).eval()


def load_part(module: torch.nn.Module, prefix: str, config: Config, checkpoint: str) -> None:
    """Load what a checkpoint holds of one part of the config's model, such as its loss.

    Args:
        module (nn.Module): The part.
        prefix (str): Its name in the model, such as ``'structure_loss'``.
        config (Config): Config of the training, for the message.
        checkpoint (str): File of the checkpoint.

    Raises:
        FileNotFoundError: If there is no checkpoint.
        ValueError: If it does not hold exactly the weights of ``module`` under ``prefix``.
    """
    expected = {f'{prefix}.{name}': weight for name, weight in module.state_dict().items()}
    weights = adapt_names(expected, read_weights(str(checkpoint)))
    weights = {name: weight for name, weight in weights.items() if name.startswith(f'{prefix}.')}
    wrong = differences(expected, weights)
    if wrong:
        raise ValueError(
            f'{checkpoint} does not fit {config.filename}: {wrong[0]} ({len(wrong)} such '
            "weights); give the config that it was trained with, and one of this loss's"
        )
    module.load_state_dict({name[len(prefix) + 1 :]: weight for name, weight in weights.items()})


def write_figure(
    path: Path,
    groups: Sequence[tuple[str, Sequence[str]]],
    rows: Sequence[tuple[str, Sequence[Cell]]],
) -> None:
    """Write what :func:`draw_maps` draws, and say so; the file appears once it is complete."""
    write_picture(path, draw_maps(groups, rows)[..., ::-1])
    print(f'figure: {path}')
