"""The synthetic shapes: scenes with a known translation, drawn without files or networks.

A scene is a label map (0 background, 1 disk, 2 square, 3 triangle). Style A paints every class
in one flat colour, style B in a texture of its own; the luminance of B is inverted relative to A
(dark ground, bright shapes). Nothing is anti-aliased, so a picture in style A holds the four
colours of ``PALETTE`` and nothing else, and its label map is the nearest colour of each pixel.
The unpaired task is B -> A: the translation of a textured picture is unique.
"""

from dataclasses import dataclass

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
STYLES = ('A', 'B')


@dataclass(frozen=True)
class SceneLayout:
    """How scenes of one domain are composed.

    Args:
        count: Fewest and most shapes in a scene.
        radius: Smallest and largest radius, as a share of the picture's side. A shape of radius
            ``r`` covers about as much area as a disk of that radius, whatever its class.
    """

    count: tuple
    radius: tuple


# The layout of each domain. Pictures of the test set follow domain B, the source.
LAYOUTS = {
    'mismatch': dict(A=SceneLayout((5, 7), (0.085, 0.115)), B=SceneLayout((2, 3), (0.13, 0.17))),
    'matched': dict(A=SceneLayout((3, 5), (0.09, 0.14)), B=SceneLayout((3, 5), (0.09, 0.14))),
}


@dataclass(frozen=True)
class Shape:
    """One shape: its label, centre and circumscribed radius in pixels, and angle in radians."""

    label: int
    row: float
    column: float
    radius: float
    angle: float


# Circumscribed radius that gives a square and a triangle the area of a disk of radius 1.
_CIRCUMRADIUS = {1: 1.0, 2: 1.25, 3: 1.55}
_PLACEMENT_ATTEMPTS = 200
_SMALLEST_SPACING = 0.7


def sample_scene(layout, rng, size=64):
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
    shapes = []
    for _ in range(rng.integers(layout.count[0], layout.count[1] + 1)):
        label = int(rng.integers(1, len(CLASSES)))
        radius = rng.uniform(*layout.radius) * size * _CIRCUMRADIUS[label]
        row, column = _place(shapes, radius, rng, size)
        shapes.append(Shape(label, row, column, radius, rng.uniform(0, 2 * np.pi)))
    return shapes


def _place(shapes, radius, rng, size):
    for spacing in np.linspace(1.05, _SMALLEST_SPACING, _PLACEMENT_ATTEMPTS):
        row, column = rng.uniform(radius, size - radius, 2)
        if all(
            np.hypot(row - s.row, column - s.column) >= spacing * (radius + s.radius)
            for s in shapes
        ):
            break
    return row, column


def draw_labels(shapes, size=64):
    """Rasterise shapes: a pixel belongs to a shape when its centre does.

    Args:
        shapes (Iterable[Shape]): Shapes in drawing order.
        size (int): Side of the square picture in pixels.

    Returns:
        np.ndarray: Label map (size, size), uint8, values 0 to 3.
    """
    rows, columns = _pixel_centres(size)
    labels = np.zeros((size, size), dtype=np.uint8)
    for shape in shapes:
        labels[_inside(shape, rows - shape.row, columns - shape.column)] = shape.label
    return labels


def _inside(shape, rows, columns):
    if shape.label == 1:
        return rows**2 + columns**2 <= shape.radius**2
    # A regular polygon is the intersection of the half planes of its sides.
    sides = {2: 4, 3: 3}[shape.label]
    apothem = shape.radius * np.cos(np.pi / sides)
    normals = shape.angle + 2 * np.pi * np.arange(sides) / sides
    return np.all([rows * np.sin(a) + columns * np.cos(a) <= apothem for a in normals], axis=0)


def render_scene(labels, style, rng=None):
    """Paint a label map in one of the two styles.

    Args:
        labels (np.ndarray): Label map (H, W), values 0 to 3.
        style (str): 'A' (flat colours, no randomness) or 'B' (textures of random phase and
            orientation, one draw a class and picture).
        rng (np.random.Generator, optional): Source of randomness, needed for style 'B'.

    Returns:
        np.ndarray: RGB picture (H, W, 3), uint8.

    Raises:
        ValueError: Unknown style, or style 'B' without ``rng``.
    """
    if style not in STYLES:
        raise ValueError(f'style must be one of {STYLES}, got {style!r}.')
    if style == 'A':
        return PALETTE[labels]
    if rng is None:
        raise ValueError("style 'B' draws its textures at random: pass rng=np.random.Generator.")
    rows, columns = _pixel_centres(*labels.shape)
    unit = max(labels.shape) / 64  # textures scale with the picture
    patterns = np.stack(
        [
            pattern(rows / unit, columns / unit, rng)
            for pattern in (_ground, _dots, _checks, _stripes)
        ]
    )
    high = np.take_along_axis(patterns, labels[None].astype(np.intp), axis=0)[0]
    return TEXTURE_COLOURS[labels, high.astype(np.intp)]


def _pixel_centres(height, width=None):
    return np.mgrid[:height, : width or height] + 0.5


def _rotated(rows, columns, rng):
    """Coordinates in a frame of random orientation and phase."""
    angle = rng.uniform(0, np.pi)
    shift = rng.uniform(0, 64, 2)
    return (
        rows * np.cos(angle) - columns * np.sin(angle) + shift[0],
        rows * np.sin(angle) + columns * np.cos(angle) + shift[1],
    )


def _wave(coordinate, period, share=0.5):
    """True on the first ``share`` of every period."""
    return coordinate % period < share * period


def _ground(rows, columns, rng):
    return _wave(_rotated(rows, columns, rng)[0], 8.0)


def _dots(rows, columns, rng):
    u, v = _rotated(rows, columns, rng)
    return (u % 5.0 - 2.5) ** 2 + (v % 5.0 - 2.5) ** 2 <= 1.7**2


def _checks(rows, columns, rng):
    u, v = _rotated(rows, columns, rng)
    return _wave(u, 6.0) ^ _wave(v, 6.0)


def _stripes(rows, columns, rng):
    return _wave(_rotated(rows, columns, rng)[0], 4.5)
