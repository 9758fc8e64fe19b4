"""The file that says what a training and its tests came to."""

import json
from pathlib import Path

from sesim_mmagic.utils.shapes import NUMBER, misfit

RESULTS = 'results.json'
_NAME, _AMOUNT = (str, type(None)), (*NUMBER, type(None))
# What is read from the file again, see ResultsHook.
_TESTED = {'metrics': {str: _AMOUNT}, 'iteration': _AMOUNT}
_SHAPE = {
    'seed?': _AMOUNT,
    'training?': {
        **dict.fromkeys(('iterations', 'max_iterations', 'ranks', 'seconds'), NUMBER),
        **dict.fromkeys(('seconds_per_iteration', 'peak_memory_mb'), _AMOUNT),
        'memory_of': str,
        'device?': str,
    },
    'validation?': {
        'split': str,
        'pictures': NUMBER,
        'history?': [{**_TESTED, 'iteration': NUMBER}],
    },
    'best?': [
        {'key': str, 'rule': str, 'value': _AMOUNT, 'iteration': _AMOUNT, 'checkpoint': _NAME}
    ],
    'tests?': [
        {
            **_TESTED,
            'split': str,
            'pictures': NUMBER,
            'checkpoint': _NAME,
            'page?': str,
            'examples?': {'columns': [str], 'rows': [list]},
        }
    ],
    'losses?': {str: [list]},
}


def read_results(folder: str | Path) -> dict | None:
    """Read the results that a :class:`ResultsHook` wrote.

    Args:
        folder (str | Path): Work directory of a training or a test.

    Returns:
        dict | None: See :class:`ResultsHook`; None if there are none.

    Raises:
        ValueError: The file cannot be read.
    """
    path = Path(folder, RESULTS)
    if not path.is_file():
        return None
    try:
        results = json.loads(path.read_text(encoding='utf-8'))
        problem = misfit(results, _SHAPE)
    except (ValueError, RecursionError):
        problem = 'it is no JSON'
    if problem:
        raise ValueError(
            f"'{path}' does not hold the results of a training or test ({problem}): move it away "
            'and run again.'
        )
    return results
