"""Tools answer --help and mistakes at once: before PyTorch is imported, which takes seconds."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / 'tools'
SCRIPTS = sorted(
    str(path.relative_to(TOOLS))
    for path in TOOLS.rglob('*.py')
    if "if __name__ == '__main__':" in path.read_text()
)
HEAVY = {'torch', 'numpy', 'mmengine', 'mmagic', 'cv2', 'matplotlib', 'nicegui'}


def imported(*argv):
    """The finished process of a script, and what it imported of the packages that take long."""
    command = [sys.executable, '-X', 'importtime', *map(str, argv)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    names = {line.rpartition('|')[2].strip() for line in done.stderr.splitlines()}
    return done, names & HEAVY


def test_there_are_tools():
    assert {'train.py', 'translate.py', 'analysis/content_losses.py'} <= set(SCRIPTS)


@pytest.mark.parametrize('script', SCRIPTS)
def test_help_and_mistakes_are_answered_at_once(script):
    done, heavy = imported(TOOLS / script, '--help')
    assert done.returncode == 0 and done.stdout.startswith('usage: ') and not heavy
    done, heavy = imported(TOOLS / script, '--no-such-option')
    assert done.returncode == 2 and f'{Path(script).name}: error: ' in done.stderr and not heavy


def test_choices_are_those_of_what_is_called():
    from sesim_mmagic.datasets.shape_modes import MODES
    from sesim_mmagic.datasets.shape_scenes import LAYOUTS

    text = (TOOLS / 'dataset_converters/synthetic_shapes.py').read_text()
    assert f'choices={tuple(sorted(LAYOUTS))}' in text and f'1 to {len(MODES)},' in text
