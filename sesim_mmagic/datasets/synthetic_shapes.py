"""Write the synthetic shapes to disk: unpaired training pictures, held-out pictures with truth."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from sesim_mmagic.utils.checks import check_ints
from sesim_mmagic.utils.files import is_free, new_folder

from .shape_modes import check_modes, render_mode
from .shape_scenes import LAYOUTS, PALETTE, draw_labels, render_scene, sample_scene

MANIFEST = 'dataset.json'
MODE_LIST = 'modes.json'
# Raised whenever equal parameters would give other pictures.
_SHAPES_VERSION = 1
_PAIR = ('A', 'B', 'Labels')
# For each part: a number for its seeds, so that parts never share their randomness; the domain of
# its layout; its folders.
_PARTS = {
    'trainA': (0, 'A', ['trainA']),
    'trainB': (1, 'B', ['trainB']),
    'val': (3, 'B', [f'val{kind}' for kind in _PAIR]),
    'test': (2, 'B', [f'test{kind}' for kind in _PAIR]),
}


def write_shapes(
    out: str | Path,
    layout: str = 'mismatch',
    size: int = 64,
    num_train: int = 400,
    num_test: int = 64,
    seed: int = 0,
    num_val: int = 32,
    modes: int = 1,
) -> Path:
    """Write an unpaired data set and ``dataset.json`` under ``out``.

    Its folders are ``trainA trainB valA valB valLabels testA testB testLabels``.

    ``trainA`` (flat) and ``trainB`` (textured) show different scenes; ``testA/x.png`` and
    ``testB/x.png`` show the same one, whose label map is ``testLabels/x.png`` (a palette PNG:
    pixel values are labels), and so do those of ``val``, by which a checkpoint may be chosen.
    Scenes of both follow the layout of domain B, the source. Picture ``i`` depends on its folder,
    ``i`` and ``seed`` only, so a larger dataset contains the smaller one.

    With several ``modes`` every picture of B is painted in one of them, drawn with equal
    probabilities, and ``modes.json`` holds their numbers: ``{'trainB/00000.png': 2, ...}``. Scenes
    and domain A stay as they are. A test scene's other truths are
    ``render_mode(labels, mode)`` of ``shape_modes``.

    The folder appears under its name once it is complete.

    Args:
        out (str | Path): Folder to write.
        layout (str): 'mismatch' or 'matched', see ``LAYOUTS``.
        size (int): Side of the pictures in pixels, at least 16.
        num_train (int): Training pictures of each domain.
        num_test (int): Test pairs.
        seed (int): Non-negative seed.
        num_val (int): Validation pairs; 0 writes no folders for them.
        modes (int): Number of modes of domain B, at most ``len(MODES)``. 1 is style B of
            ``render_scene``, which is no mode of the table.

    Returns:
        Path: ``out``. An existing dataset of the same parameters is left as it is.

    Raises:
        ValueError: A parameter is out of range.
        FileExistsError: ``out`` holds something else.
    """
    if layout not in LAYOUTS:
        raise ValueError(f'layout must be one of {sorted(LAYOUTS)}, got {layout!r}')
    check_ints('write_shapes', 16, size=size)
    check_ints('write_shapes', 1, num_train=num_train, num_test=num_test)
    check_ints('write_shapes', 0, seed=seed, num_val=num_val)
    check_modes(modes, least=1)
    parameters = dict(version=_SHAPES_VERSION, layout=layout, size=size, num_train=num_train)
    parameters.update(num_test=num_test, seed=seed, num_val=num_val)
    if modes > 1:
        parameters['modes'] = modes
    out = Path(out)
    if _holds_shapes(out, parameters):
        return out
    with new_folder(out) as folder:
        _write_pictures(folder, parameters)
        (folder / MANIFEST).write_text(json.dumps(parameters, indent=2) + '\n')
    return out


def _folders(parameters: dict) -> dict[str, int]:
    """Name and number of pictures of every folder of a dataset."""
    counts = {part: parameters[f'num_{part.rstrip("AB")}'] for part in _PARTS}
    return {name: counts[part] for part in _PARTS if counts[part] for name in _PARTS[part][2]}


def _holds_shapes(out: Path, parameters: dict) -> bool:
    """Whether ``out`` already is this dataset; an error if it is anything else but empty."""
    if is_free(out):
        return False
    try:
        written = json.loads((out / MANIFEST).read_text())
    except (OSError, ValueError):
        written = None
    problem = None
    if not isinstance(written, dict):
        problem = f"'{out}' exists and holds no synthetic shapes (no readable {MANIFEST})"
    elif written != parameters:
        problem = (
            f"'{out}' holds synthetic shapes of other parameters: {written}, asked for {parameters}"
        )
    else:
        for name, count in _folders(parameters).items():
            present = len(list((out / name).glob('*.png')))
            if present != count:
                problem = f"'{out / name}' holds {present} pictures where {count} were written"
        if 'modes' in parameters and not (out / MODE_LIST).is_file():
            problem = f"'{out}' has lost its {MODE_LIST}"
    if problem:
        raise FileExistsError(f'{problem}; choose another folder, or delete this one and run again')
    return True


def _write_pictures(folder: Path, parameters: dict) -> None:
    for name in _folders(parameters):
        (folder / name).mkdir()
    modes = parameters.get('modes', 1)
    mode_of = {}
    for names, i, labels, rng in _scenes(parameters):
        for name in names:
            file = f'{name}/{i:05d}.png'
            if name.endswith('Labels'):
                picture = labels
            elif name.endswith('A') or modes == 1:
                picture = render_scene(labels, name[-1], rng)
            else:
                mode_of[file] = int(rng.integers(modes))
                picture = render_mode(labels, mode_of[file])
            _save(folder / file, picture)
    if modes > 1:
        (folder / MODE_LIST).write_text(json.dumps(mode_of, indent=0) + '\n')


def _scenes(parameters: dict) -> Iterator[tuple[list[str], int, np.ndarray, np.random.Generator]]:
    """Folders, index, label map and further randomness of every scene."""
    layouts, size, counts = LAYOUTS[parameters['layout']], parameters['size'], _folders(parameters)
    for number, domain, names in _PARTS.values():
        for i in range(counts.get(names[0], 0)):
            rng = np.random.default_rng([parameters['seed'], number, i])
            yield names, i, draw_labels(sample_scene(layouts[domain], rng, size), size), rng


def _save(path: Path, array: np.ndarray) -> None:
    image = Image.fromarray(array)
    if array.ndim == 2:
        image.putpalette(PALETTE.tobytes())  # label maps open in colour in any viewer
    image.save(path)
