"""Write the synthetic shapes to disk: unpaired training pictures, held-out pictures with truth."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from .folders import is_free, new_folder
from .shape_modes import check_modes, render_mode
from .shape_scenes import LAYOUTS, PALETTE, draw_labels, render_scene, sample_scene

MANIFEST = 'dataset.json'
MODE_LIST = 'modes.json'
# Raised whenever equal parameters would give other pictures.
_SHAPES_VERSION = 1
# Part of the seed of each picture: scenes of different folders never share their randomness.
_STREAMS = dict(trainA=0, trainB=1, test=2, val=3)
# Folders of pairs, each with label maps beside.
_PAIRED = ('val', 'test')


def write_shapes(
    out, layout='mismatch', size=64, num_train=400, num_test=64, seed=0, num_val=32, modes=1
):
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
    parameters = _checked_parameters(layout, size, num_train, num_test, seed, num_val, modes)
    out = Path(out)
    if _holds_shapes(out, parameters):
        return out
    with new_folder(out) as folder:
        _write_pictures(folder, parameters)
        (folder / MANIFEST).write_text(json.dumps(parameters, indent=2) + '\n')
    return out


def _checked_parameters(layout, size, num_train, num_test, seed, num_val, modes):
    if layout not in LAYOUTS:
        raise ValueError(f'layout must be one of {sorted(LAYOUTS)}, got {layout!r}.')
    for name, value, least in (
        ('size', size, 16),
        ('num_train', num_train, 1),
        ('num_test', num_test, 1),
        ('seed', seed, 0),
        ('num_val', num_val, 0),
    ):
        if int(value) != value or value < least:
            raise ValueError(f'{name} must be an integer of at least {least}, got {value!r}.')
    check_modes(modes, least=1)
    parameters = dict(
        version=_SHAPES_VERSION,
        layout=layout,
        size=int(size),
        num_train=int(num_train),
        num_test=int(num_test),
        seed=int(seed),
        num_val=int(num_val),
    )
    # The manifest of one mode is that of before there were modes.
    return parameters if modes == 1 else parameters | dict(modes=int(modes))


def _folders(parameters):
    """Name and number of pictures of every folder of a dataset."""
    counts = {f'train{style}': parameters['num_train'] for style in 'AB'}
    for part in _PAIRED:
        if parameters[f'num_{part}']:
            counts |= {f'{part}{kind}': parameters[f'num_{part}'] for kind in ('A', 'B', 'Labels')}
    return counts


def _holds_shapes(out, parameters):
    """Whether ``out`` already is this dataset; an error if it is anything else but empty."""
    if is_free(out):
        return False
    advice = 'Choose another folder, or delete this one and run again.'
    try:
        found = json.loads((out / MANIFEST).read_text())
    except (OSError, ValueError):
        raise FileExistsError(
            f"'{out}' exists and is no synthetic shapes (no readable {MANIFEST}). {advice}"
        ) from None
    if isinstance(found, dict):
        found = {'num_val': 0, **found}  # of before there were validation pairs
    if found != parameters:
        raise FileExistsError(
            f"'{out}' holds synthetic shapes of other parameters: {found}, "
            f'asked for {parameters}. {advice}'
        )
    for name, count in _folders(parameters).items():
        present = len(list((out / name).glob('*.png')))
        if present != count:
            raise FileExistsError(
                f"'{out / name}' holds {present} pictures where {count} were written. {advice}"
            )
    if 'modes' in parameters and not (out / MODE_LIST).is_file():
        raise FileExistsError(f"'{out}' has lost its {MODE_LIST}. {advice}")
    return True


def _write_pictures(folder, parameters):
    for name in _folders(parameters):
        (folder / name).mkdir()
    modes = parameters.get('modes', 1)
    mode_of = {}
    for names, i, labels, rng in _scenes(parameters):
        for name in names:
            if name.endswith('Labels'):
                picture = labels
            elif name.endswith('A') or modes == 1:
                picture = render_scene(labels, name[-1], rng)
            else:
                mode = mode_of[f'{name}/{_file(i)}'] = int(rng.integers(modes))
                picture = render_mode(labels, mode)
            _save(folder / name, i, picture)
    if modes > 1:
        (folder / MODE_LIST).write_text(json.dumps(mode_of, indent=0) + '\n')


def _scenes(parameters):
    """Folders, index, label map and further randomness of every scene."""
    layouts, size = LAYOUTS[parameters['layout']], parameters['size']
    streams = [(f'train{style}', style, [f'train{style}']) for style in 'AB']
    streams += [(part, 'B', [f'{part}{kind}' for kind in ('A', 'B', 'Labels')]) for part in _PAIRED]
    for stream, domain, names in streams:
        for i in range(_folders(parameters).get(names[0], 0)):
            rng = np.random.default_rng([parameters['seed'], _STREAMS[stream], i])
            yield names, i, draw_labels(sample_scene(layouts[domain], rng, size), size), rng


def _save(folder, index, array):
    image = Image.fromarray(array)
    if array.ndim == 2:
        image.putpalette(PALETTE.tobytes())  # label maps open in colour in any viewer
    image.save(folder / _file(index))


def _file(index):
    return f'{index:05d}.png'
