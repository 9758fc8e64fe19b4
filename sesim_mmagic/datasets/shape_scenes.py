"""The synthetic shapes: scenes with a known translation, drawn without files or networks.

A scene is a label map (0 background, 1 disk, 2 square, 3 triangle). Style A paints every class
in one flat colour, style B in a texture of its own; the luminance of B is inverted relative to A
(dark ground, bright shapes). Nothing is anti-aliased, so a picture in style A holds the four
colours of ``PALETTE`` and nothing else, and its label map is the nearest colour of each pixel.
The unpaired task is B -> A: the translation of a textured picture is unique.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

CLASSES = ('background', 'disk', 'square', 'triangle')
# RGB, indexed by label: cream ground, red disks, blue squares, green triangles.
PALETTE = np.array([[253, 246, 227], [220, 50, 47], [38, 92, 200], [46, 160, 67]], dtype=np.uint8)
# RGB, indexed by label: the (low, high) colours of the textures of style B.
TEXTURE_COLOURS = np.array(
    [
        [[16, 16, 36], [52, 46, 78]],
        [[205, 158, 36], [255, 232, 70]],
        [[56, 176, 196], [110, 240, 245]],
        [[222, 108, 164], [255, 176, 214]],
    ],
    dtype=np.uint8,
)
# Circumscribed radius that gives a square and a triangle the area of a disk of radius 1.
_CIRCUMRADIUS = {1: 1.0, 2: 1.25, 3: 1.55}
_PLACEMENT_ATTEMPTS = 200
_SMALLEST_SPACING = 0.7


class SceneLayout(NamedTuple):
    """How scenes of one domain are composed.

    Args:
        shapes: Fewest and most of them in a scene.
        radius: Smallest and largest radius, as a share of the picture's side. A shape of radius
            ``r`` covers about as much area as a disk of that radius, whatever its class.
    """

    shapes: tuple[int, int]
    radius: tuple[float, float]


# The layout of each domain. Pictures of the test set follow domain B, the source.
LAYOUTS = {
    'mismatch': dict(A=SceneLayout((5, 7), (0.085, 0.115)), B=SceneLayout((2, 3), (0.13, 0.17))),
    'matched': dict(A=SceneLayout((3, 5), (0.09, 0.14)), B=SceneLayout((3, 5), (0.09, 0.14))),
}


class Shape(NamedTuple):
    """One shape: its label, centre and circumscribed radius in pixels, and angle in radians."""

    label: int
    row: float
    column: float
    radius: float
    angle: float


def sample_scene(layout: SceneLayout, rng: np.random.Generator, size: int = 64) -> list[Shape]:
    """Draw the shapes of one scene.

    Shapes lie inside the picture and apart from each other; where no free place is found, the
    distance asked for shrinks step by step, so that crowded scenes overlap a little.

    Args:
        layout (SceneLayout): Number and radius of the shapes.
        rng (np.random.Generator): Source of randomness.
        size (int): Side of the square picture in pixels.

    Returns:
        list[Shape]: Shapes in drawing order (a later shape covers an earlier one).
    """
    shapes: list[Shape] = []
    for _ in range(rng.integers(layout.shapes[0], layout.shapes[1] + 1)):
        label = int(rng.integers(1, len(CLASSES)))
        radius = rng.uniform(*layout.radius) * size * _CIRCUMRADIUS[label]
        for spacing in np.linspace(1.05, _SMALLEST_SPACING, _PLACEMENT_ATTEMPTS):
            row, column = rng.uniform(radius, size - radius, 2)
            if all(
                np.hypot(row - s.row, column - s.column) >= spacing * (radius + s.radius)
                for s in shapes
            ):
                break
        shapes.append(Shape(label, row, column, radius, rng.uniform(0, 2 * np.pi)))
    return shapes


def draw_labels(shapes: Iterable[Shape], size: int = 64) -> np.ndarray:
    """Rasterise shapes: a pixel belongs to a shape when its centre does.

    Args:
        shapes (Iterable[Shape]): Shapes in drawing order.
        size (int): Side of the square picture in pixels.

    Returns:
        np.ndarray: Label map (size, size), uint8, values 0 to 3.
    """
    rows, columns = np.mgrid[:size, :size] + 0.5
    labels = np.zeros((size, size), dtype=np.uint8)
    for shape in shapes:
        labels[_inside(shape, rows - shape.row, columns - shape.column)] = shape.label
    return labels


def _inside(shape: Shape, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    if shape.label == 1:
        return rows**2 + columns**2 <= shape.radius**2
    # A regular polygon is the intersection of the half planes of its sides.
    sides = {2: 4, 3: 3}[shape.label]
    apothem = shape.radius * np.cos(np.pi / sides)
    normals = shape.angle + 2 * np.pi * np.arange(sides) / sides
    return np.all([rows * np.sin(a) + columns * np.cos(a) <= apothem for a in normals], axis=0)


def render_scene(
    labels: np.ndarray, style: str, rng: np.random.Generator | None = None
) -> np.ndarray:
    """Paint a label map in one of the two styles.

    Args:
        labels (np.ndarray): Label map (H, W), values 0 to 3.
        style (str): 'A' (flat colours, no randomness) or 'B' (textures of random phase and
            orientation, one draw for each class and picture).
        rng (np.random.Generator, optional): Source of randomness, needed for style 'B'.

    Returns:
        np.ndarray: RGB picture (H, W, 3), uint8.

    Raises:
        ValueError: Unknown style, or style 'B' without ``rng``.
    """
    if style not in ('A', 'B'):
        raise ValueError(f"style must be 'A' or 'B', got {style!r}")
    if style == 'A':
        return PALETTE[labels]
    if rng is None:
        raise ValueError("style 'B' draws its textures at random: pass rng=np.random.Generator")
    # Textures scale with the picture.
    rows, columns = (np.mgrid[: labels.shape[0], : labels.shape[1]] + 0.5) / (
        max(labels.shape) / 64
    )
    textures = _ground, _dots, _checks, _stripes
    high = np.stack([texture(*_rotated(rows, columns, rng)) for texture in textures])
    high = np.take_along_axis(high, labels[None].astype(np.intp), axis=0)[0]
    return TEXTURE_COLOURS[labels, high.astype(np.intp)]


def _rotated(
    rows: np.ndarray, columns: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates in a frame of random orientation and phase."""
    angle = rng.uniform(0, np.pi)
    shift = rng.uniform(0, 64, 2)
    return (
        rows * np.cos(angle) - columns * np.sin(angle) + shift[0],
        rows * np.sin(angle) + columns * np.cos(angle) + shift[1],
    )


def _ground(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return u % 8.0 < 4.0


def _dots(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return (u % 5.0 - 2.5) ** 2 + (v % 5.0 - 2.5) ** 2 <= 1.7**2


def _checks(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return (u % 6.0 < 3.0) ^ (v % 6.0 < 3.0)


def _stripes(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return u % 4.5 < 2.25
