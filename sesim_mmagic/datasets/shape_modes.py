"""Modes of the domain B of the synthetic shapes: several styles of a scene that are all right.

The multi-modal task is A -> B: a flat picture has ``modes`` right translations, one in each mode,
and each is as frequent as the others. A mode is a palette for the classes and a texture that lies
over all of them. As in style B the luminance is inverted (dark ground, bright shapes).

Nothing about a mode is random: a scene and a mode are one picture. Textures are even about the
centre of the picture, so that a mirrored picture is one of the same mode.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Mode(NamedTuple):
    """One style of domain B.

    Args:
        name: What it is called.
        palette: RGB of background, disk, square and triangle, 8 bits.
        texture: From rows and columns, counted from the centre in 64ths of the picture's side,
            to where the texture is bright: boolean (H, W). None for flat colours.
        contrast: Difference of bright and dark of the texture, in 8-bit levels of every channel;
            the palette's colours lie in the middle.
    """

    name: str
    palette: tuple[tuple[int, int, int], ...]
    texture: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    contrast: int = 0


def render_mode(labels: np.ndarray, mode: int) -> np.ndarray:
    """Paint a label map in a mode: the one right translation of the scene in that mode.

    Args:
        labels (np.ndarray): Label map (H, W), values 0 to 3.
        mode (int): Number in ``MODES``.

    Returns:
        np.ndarray: RGB picture (H, W, 3), uint8.

    Raises:
        ValueError: There is no such mode.
    """
    if not 0 <= mode < len(MODES):
        raise ValueError(f'mode must be a number from 0 to {len(MODES) - 1}, got {mode!r}')
    height, width = labels.shape
    bright = np.zeros(labels.shape, dtype=np.intp)
    paint = MODES[mode].texture
    if paint is not None:
        rows, columns = np.mgrid[:height, :width] + 0.5
        unit = max(height, width) / 64  # textures scale with the picture
        bright = paint((rows - height / 2) / unit, (columns - width / 2) / unit).astype(np.intp)
    return mode_colours(mode)[labels, bright]


def mode_colours(mode: int) -> np.ndarray:
    """The (dark, bright) RGB colours of each class in a mode: (classes, 2, 3), uint8."""
    palette, contrast = np.array(MODES[mode].palette), MODES[mode].contrast
    half = np.array([[-1], [1]]) * (contrast // 2)
    return (palette[:, None] + half).astype(np.uint8)


def check_modes(modes: int, least: int) -> None:
    """Raise a ValueError unless there are as many modes, at least ``least``."""
    if int(modes) != modes or not least <= modes <= len(MODES):
        raise ValueError(
            f'modes must be an integer from {least} to {len(MODES)}, the number of modes that '
            f'there are, got {modes!r}'
        )


def _is_line(coordinate: np.ndarray, share: float = 0.5) -> np.ndarray:
    """True on lines of ``share`` of their period of 8, one of them about coordinate 0."""
    return (np.abs(coordinate) + share * 4.0) % 8.0 < share * 8.0


def _dots(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    u, v = ((np.abs(x) + 4.0) % 8.0 - 4.0 for x in (rows, columns))
    return u**2 + v**2 <= 2.6**2


_TEXTURES = dict(
    none=None,
    rows=lambda rows, columns: _is_line(rows),
    columns=lambda rows, columns: _is_line(columns),
    dots=_dots,
    checks=lambda rows, columns: _is_line(rows) ^ _is_line(columns),
    grid=lambda rows, columns: _is_line(rows, 0.25) | _is_line(columns, 0.25),
)
# A dataset of N modes has the first N. To change one is to raise the dataset's version.
MODES = tuple(
    Mode(name, palette, _TEXTURES[texture], 64 if _TEXTURES[texture] else 0)
    for name, texture, palette in (
        ('night', 'none', ((24, 32, 84), (250, 214, 72), (84, 214, 226), (246, 150, 190))),
        ('wood', 'rows', ((44, 96, 52), (215, 140, 60), (176, 150, 215), (215, 215, 140))),
        ('wine', 'dots', ((120, 36, 52), (110, 215, 150), (120, 175, 220), (220, 195, 90))),
        ('sea', 'checks', ((32, 96, 110), (220, 125, 150), (220, 205, 80), (180, 220, 205))),
        ('earth', 'grid', ((130, 84, 36), (100, 205, 220), (220, 220, 190), (205, 155, 220))),
        ('violet', 'columns', ((92, 48, 140), (220, 130, 70), (80, 200, 190), (220, 190, 215))),
    )
)
