"""A released file, in a process that knows nothing of its training, gives the same pictures."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from sesim_mmagic.apis.inference.inferencer import SeSimInferencer
from sesim_mmagic.translators import Translator
from sesim_mmagic.translators.styles import draw_styles

# The file is read before anything of this package could allow more than torch does.
_PROGRAM = """
import sys, torch
torch.load(sys.argv[1], map_location='cpu', weights_only=True)
torch.set_num_threads(int(sys.argv[3]))
import numpy
from sesim_mmagic.apis.inference.loading import init_translator
from sesim_mmagic.apis.release.fresh_process import translations
model = init_translator(None, sys.argv[1], 'cpu')
numpy.savez(sys.argv[2], **translations(model, sys.argv[4:]))
"""


def translations(model: Translator, pictures: Sequence[str | Path]) -> dict[str, np.ndarray]:
    """Translate pictures into all that a model can: each domain and, if it has styles, three.

    Returns:
        dict[str, np.ndarray]: Translations (H, W, 3), uint8, BGR, by
        ``<number of the picture>_<domain>_<number of the style>``.

    Raises:
        ValueError: A picture cannot be translated.
    """
    inferencer = SeSimInferencer(model, strip_pixels=None, show_progress=False)
    styles = draw_styles(3, model.style_channels, seed=0) if model.style_channels else None
    translated = {}
    for domain in model.domains:
        results = inferencer(list(pictures), target_domain=domain, styles=styles)
        if reasons := [found['reason'] for found in results['predictions'] if found['reason']]:
            raise ValueError(reasons[0])
        for number, each in enumerate(results['visualization']):
            for style, picture in enumerate([each] if styles is None else each):
                translated[f'{number}_{domain}_{style}'] = picture
    return translated


def check_in_fresh_process(
    checkpoint: Path, pictures: Sequence[Path], expected: dict[str, np.ndarray]
) -> None:
    """Compare what a new process makes of a released file with :func:`translations`, exactly.

    The process leaves ``<checkpoint>.npz``.

    Raises:
        ValueError: The process fails, or a picture differs in any pixel.
    """
    out = checkpoint.with_suffix('.npz')
    # As many threads as here: another order of additions is another picture.
    arguments = [checkpoint, out, torch.get_num_threads(), *pictures]
    command = [sys.executable, '-c', _PROGRAM, *map(str, arguments)]
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(path or os.getcwd() for path in sys.path))
    run = subprocess.run(command, env=env, capture_output=True, text=True)
    if run.returncode != 0:
        reason = run.stderr.strip().splitlines()[-1:] or [f'it ended with {run.returncode}']
        raise ValueError(f'Nothing was released: a fresh process cannot use the file. {reason[0]}')
    with np.load(out) as translated:
        for name, picture in expected.items():
            if not np.array_equal(translated[name], picture):
                raise ValueError(
                    f"Nothing was released: in a fresh process picture '{name}' is another than "
                    'with the checkpoint of the training.'
                )
