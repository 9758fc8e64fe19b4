"""What the analysis tools share: pictures, trained losses, figures."""

from pathlib import Path

import cv2
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from sesim_mmagic.apis import read_weights
from sesim_mmagic.datasets import AppearanceView
from sesim_mmagic.engine.map_figure import draw_maps
from sesim_mmagic.engine.pictures import write_picture
from sesim_mmagic.registry import MODELS
from sesim_mmagic.utils.images import read_picture
from sesim_mmagic.utils.weights import adapt_names, differences


def read_square(path, side):
    """Read a picture and resize it, with a line about it, unless it has the size already.

    Returns:
        np.ndarray: Shape (side, side, 3), BGR, uint8.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it is no picture, or ``side`` is too small for VGG16.
    """
    if side < 16:
        raise ValueError(f'--side must be at least 16, got {side}')
    picture = read_picture(path)
    height, width = picture.shape[:2]
    if (height, width) == (side, side):
        return picture
    print(f'{path}: {width} x {height} pixels, resized to {side} x {side}')
    shrinks = side < max(height, width)
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(picture, (side, side), interpolation=method)


def recoloured(picture, seed):
    """The picture in other colours (see ``AppearanceView``), the same ones for the same seed."""
    torch.manual_seed(seed)
    return AppearanceView(['img'], colour_map=1.0).transform(dict(img=picture))['img_aug']


def to_images(*pictures):
    """N arrays (H, W, 3), BGR, uint8, to a tensor (N, 3, H, W) in [-1, 1]."""
    images = [torch.from_numpy(p.transpose(2, 0, 1).copy()) for p in pictures]
    return torch.stack(images).float() / 127.5 - 1


def read_config(path):
    """Read a config that has a structure loss, and take its default scope.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it is no config, or its model has no structure loss.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'config {str(path)!r} does not exist')
    try:
        config = Config.fromfile(path)
    except (OSError, SyntaxError) as error:
        raise ValueError(f'{path} is no config: {error}') from None
    if not config.get('model', {}).get('structure_loss'):
        raise ValueError(f'{path}: its model has no structure_loss; give a config with one')
    init_default_scope(config.get('default_scope', 'mmagic'))
    return config


def build(settings, seed=0):
    """Build a loss or a network; what it draws follows from ``seed``."""
    torch.manual_seed(seed)
    return MODELS.build(settings).eval()


def load_part(module, prefix, config, checkpoint):
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
    expected = {f'{prefix}.{k}': v for k, v in module.state_dict().items()}
    weights = adapt_names(expected, read_weights(str(checkpoint)))
    found = {k: v for k, v in weights.items() if k.startswith(f'{prefix}.')}
    wrong = differences(expected, found)
    if wrong:
        raise ValueError(
            f'{checkpoint} does not fit {config.filename}: {wrong[0]} ({len(wrong)} such '
            "weights); give the config that it was trained with, and one of this loss's"
        )
    module.load_state_dict({k[len(prefix) + 1 :]: v for k, v in found.items()})


def write_figure(path, groups, rows):
    """Write what :func:`draw_maps` draws, and say so; the file appears once it is complete."""
    write_picture(path, draw_maps(groups, rows)[..., ::-1])
    print(f'figure: {path}')
