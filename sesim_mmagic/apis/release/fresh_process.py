"""A released file, in a process that knows nothing of its training, gives the same pictures."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch

from sesim_mmagic.apis.inference.inferencer import SeSimInferencer
from sesim_mmagic.apis.inference.loading import init_translator
from sesim_mmagic.engine.pictures import write_picture
from sesim_mmagic.translators import Translator
from sesim_mmagic.translators.styles import draw_styles
from sesim_mmagic.utils.images import read_picture

# The file is read before anything of this package could allow more than torch does.
_PROCESS = """
import sys, torch
torch.load(sys.argv[1], map_location='cpu', weights_only=True)
torch.set_num_threads(int(sys.argv[4]))
from sesim_mmagic.apis.release.fresh_process import translate_folder
translate_folder(*sys.argv[1:4])
"""


def translations(model: Translator, pictures: Iterable[Path]) -> Iterator[tuple[str, np.ndarray]]:
    """Translate pictures into all that a model can: each domain and, if it has styles, three.

    Yields:
        tuple[str, np.ndarray]: ``<picture>_<domain>_<style>`` and the translation (H, W, 3),
        uint8, BGR.
    """
    inferencer = SeSimInferencer(model, strip_pixels=None, show_progress=False)
    styles = draw_styles(3, model.style_channels, seed=0) if model.style_channels else None
    for picture in pictures:
        for domain in model.domains:
            results = inferencer(picture, target_domain=domain, styles=styles)
            (translated,) = results['visualization']
            for style, translation in enumerate([translated] if styles is None else translated):
                yield f'{Path(picture).stem}_{domain}_{style}', translation


def translate_folder(checkpoint: str | Path, inputs: str | Path, out: str | Path) -> None:
    """Translate the pictures of a folder into PNG files with a released checkpoint, on the CPU."""
    model = init_translator(None, checkpoint, 'cpu')
    for name, translation in translations(model, sorted(Path(inputs).iterdir())):
        write_picture(Path(out, f'{name}.png'), translation)


def check_in_fresh_process(
    checkpoint: Path, inputs: Path, expected: dict[str, np.ndarray], out: Path
) -> None:
    """Compare what a new process makes of a released file with what is expected, exactly.

    Raises:
        ValueError: The process fails, or a picture differs in any pixel.
    """
    paths = [str(Path(path).resolve()) for path in (checkpoint, inputs, out)]
    # As many threads as here: another order of additions is another picture.
    command = [sys.executable, '-c', _PROCESS, *paths, str(torch.get_num_threads())]
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(path or os.getcwd() for path in sys.path))
    run = subprocess.run(command, env=env, capture_output=True, text=True)
    if run.returncode != 0:
        reason = run.stderr.strip().splitlines()[-1:] or [f'it ended with {run.returncode}']
        raise ValueError(f'Nothing was released: a fresh process cannot use the file. {reason[0]}')
    for name, picture in expected.items():
        file = Path(out, f'{name}.png')
        if not file.is_file() or not np.array_equal(read_picture(file), picture):
            raise ValueError(
                f"Nothing was released: in a fresh process picture '{name}' is another than with "
                'the checkpoint of the training.'
            )
