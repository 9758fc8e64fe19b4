"""A work directory that holds something already: what may begin there, what is replaced."""

import logging
import platform
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from mmengine.dist import all_gather_object
from mmengine.logging import print_log

from sesim_mmagic.engine.report import PAGE
from sesim_mmagic.engine.results_file import RESULTS, read_results
from sesim_mmagic.utils.checkpoints import POINTER, last_checkpoint, read_checkpoint

#: Folder of the pictures of a test.
TEST = 'test'
# Names under which MMEngine's checkpoint hook saves.
_CHECKPOINTS = ('iter_*.pth', 'epoch_*.pth', 'best_*.pth')
# What SaveTranslationsHook writes into the folder of a test, and for validations.
_OF_A_TEST = (
    'index.html',
    *(f'{role}/**/*.png' for role in ('inputs', 'truths', 'translations', 'translations_*')),
)
_OF_VALIDATIONS = 'validations/[0-9]*/**/*.png'
_SHOWN = 4


def check_start(
    work_dir: str | Path, resume: bool, load_from: str | None, warns: bool = True
) -> str | None:
    """Look at a work directory before a training begins there.

    Where there is nothing to resume, training starts at iteration 0 and says so: a job that is
    queued again and again can always be called with ``--resume``.

    Args:
        work_dir (str | Path): Work directory, which need not exist.
        resume (bool): Whether the training is to go on.
        load_from (str | None): Checkpoint to start or resume from, as the config says.
        warns (bool): Whether it is said what will be replaced, and that there is nothing to resume.
            Defaults to True.

    Returns:
        str | None: Checkpoint to start or resume from: ``load_from`` or, on resume, the last one
        of the work directory.

    Raises:
        ValueError: The work directory holds another training, or none that can go on.
    """
    work_dir = Path(work_dir)
    earlier = earlier_training(work_dir)
    holds = f"'{work_dir}' holds a training ({_names(earlier)})"
    others = 'replace it by --overwrite (tools/train.py), or choose another --work-dir.'
    if not resume:
        if earlier:
            raise ValueError(f'{holds}: go on with it by --resume, {others}')
        return load_from
    if load_from is None:
        start = _noted_checkpoint(work_dir, earlier)
        if warns and start is None:
            _warn(
                f"Nothing to resume: there is no '{work_dir / POINTER}'. Training starts at "
                'iteration 0.'
            )
        return start
    is_own = load_from == last_checkpoint(work_dir) or (
        '://' not in load_from
        and Path(load_from).expanduser().parent.resolve() == work_dir.resolve()
    )
    if earlier and not is_own:
        away = f"'{load_from}' is not of it: leave load_from out to go on with it"
        raise ValueError(f'{holds}, and {away}, {others}')
    iteration = _iteration(load_from)
    later = [file for file in earlier if _iteration(file) > iteration >= 0]
    if warns and later:
        _warn(
            f'The training goes back: {_names(later)} and results of later iterations are replaced '
            'as it gets there.'
        )
    return load_from


def check_start_of_ranks(work_dir: str | Path, resume: bool, load_from: str | None) -> str | None:
    """:func:`check_start` on every rank: they begin with the same checkpoint, or none does.

    Where machines do not share the work directory, those without rank 0 would begin anew.

    Args: as :func:`check_start`.

    Returns:
        str | None: Checkpoint to start or resume from, as this rank names it.

    Raises:
        ValueError: The training may not begin on some rank, or ranks would begin differently.
    """
    start, error = None, None
    try:
        start = check_start(work_dir, resume, load_from)
    except (OSError, ValueError) as problem:
        error = problem
    ranks = all_gather_object((platform.node(), start and Path(start).name, error))
    for _, _, problem_there in ranks:
        if problem_there is not None:
            raise problem_there
    machine, first, _ = ranks[0]
    for rank, (other, name, _) in enumerate(ranks):
        if name != first:
            raise ValueError(
                f"Rank 0 on machine '{machine}' begins with {first or 'no checkpoint'}, rank "
                f"{rank} on '{other}' with {name or 'no checkpoint'} in '{work_dir}': let all "
                'machines share the folder of the work directory, or copy the newer checkpoint, '
                f'with {POINTER}, to the others.'
            )
    return start


def _noted_checkpoint(work_dir: Path, earlier: list[Path]) -> str | None:
    """The checkpoint that the pointer names; None where there is nothing to resume."""
    pointer, checkpoint = work_dir / POINTER, last_checkpoint(work_dir)
    if checkpoint is not None:
        try:
            read_checkpoint(checkpoint)
            return checkpoint
        except ValueError as error:
            problem = str(error)
    elif pointer.is_file():
        noted = pointer.read_text(errors='replace').strip()
        problem = f"'{pointer}' names '{noted}', which does not exist."
    elif earlier:
        problem = f"'{work_dir}' holds {_names(earlier)}, but no {POINTER} to resume from."
    else:
        return None
    if whole := [path.name for path in sorted(work_dir.glob('*.pth')) if _holds_training(path)]:
        advice = f'Resume from one of {whole} by --resume --cfg-options load_from=PATH.'
    else:
        advice = (
            'No other checkpoint there can be resumed (best checkpoints hold weights alone). Start '
            'from weights by load_from=PATH without --resume and with another --work-dir, or '
            'replace all by --overwrite.'
        )
    raise ValueError(f'{problem} {advice}')


def _holds_training(path: Path) -> bool:
    try:
        return 'optimizer' in read_checkpoint(path)
    except (ValueError, OSError):
        return False


def _iteration(path: str | Path) -> int:
    """The iteration in the name of a checkpoint, else -1."""
    number = re.search(r'iter_(\d+)\.pth$', Path(path).name)
    return int(number[1]) if number else -1


def _warn(line: str) -> None:
    print_log(line, logger='current', level=logging.WARNING)


def check_test(folder: str | Path) -> None:
    """Raise an error if a folder for the pictures of a test holds those of another.

    Args:
        folder (str | Path): Where the test is to write; it need not exist.

    Raises:
        ValueError: It holds pictures or a page of a test.
    """
    if earlier := _files(Path(folder), _OF_A_TEST):
        raise ValueError(
            f"'{folder}' holds the {len(earlier)} files of a test: replace them by --overwrite "
            '(tools/test.py), or choose another --work-dir.'
        )


def earlier_training(work_dir: Path) -> list[Path]:
    """Checkpoints, their pointer and the results of a training in a work directory."""
    earlier = _files(work_dir, (*_CHECKPOINTS, POINTER))
    if 'training' in (read_results(work_dir) or ()):
        earlier.append(work_dir / RESULTS)
    return earlier


def overwrite_training(work_dir: str | Path, *others: str) -> None:
    """Remove, and name, what an earlier training and its tests wrote; nothing else.

    Logs stay: each run has a folder of its own for them.

    Args:
        work_dir (str | Path): Work directory, which need not exist.
        *others (str): Names of further files that belong to the training.
    """
    read_results(work_dir)  # refuses a file of this name that is not the package's
    tests = (f'{TEST}/{pattern}' for pattern in _OF_A_TEST)
    _remove(
        Path(work_dir), [*_CHECKPOINTS, POINTER, RESULTS, PAGE, *others, *tests, _OF_VALIDATIONS]
    )


def overwrite_test(folder: str | Path) -> None:
    """Remove, and name, the pictures and the page of an earlier test; nothing else."""
    _remove(Path(folder), _OF_A_TEST)


def _remove(folder: Path, patterns: Iterable[str]) -> None:
    """Remove files and the folders inside ``folder`` that this leaves empty; say which."""
    files = _files(folder, patterns)
    for file in files:
        file.unlink()
        for parent in file.parents:
            if parent == folder or any(parent.iterdir()):
                break
            parent.rmdir()
    places = Counter(file.relative_to(folder).parts[0] for file in files)
    names = [n if folder / n in files else f'{n}/ ({k} files)' for n, k in places.items()]
    if files:
        _warn(
            f"--overwrite: removed from '{folder}' what an earlier run wrote: {', '.join(names)}."
        )


def _files(folder: Path, patterns: Iterable[str]) -> list[Path]:
    return sorted({p for pattern in patterns for p in folder.glob(pattern) if p.is_file()})


def _names(files: list[Path]) -> str:
    shown = ', '.join(file.name for file in files[:_SHOWN])
    return shown + (f' and {len(files) - _SHOWN} more' if len(files) > _SHOWN else '')
