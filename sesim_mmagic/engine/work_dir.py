"""A work directory that holds something already: what may begin there, what is replaced."""

import logging
import re
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

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
_OF_VALIDATIONS = ('[0-9]*/**/*.png',)
_SHOWN = 4


def check_start(work_dir: str | Path, resume: bool, load_from: str | None) -> str | None:
    """Look at a work directory before a training begins there.

    Where there is nothing to resume, training starts at iteration 0 and says so: a job that is
    queued again and again can always be called with ``--resume``.

    Args:
        work_dir (str | Path): Work directory, which need not exist.
        resume (bool): Whether the training is to go on.
        load_from (str | None): Checkpoint to start or resume from, as the config says.

    Returns:
        str | None: Checkpoint to start or resume from: ``load_from`` or, on resume, the last one
        of the work directory.

    Raises:
        FileNotFoundError: The checkpoint to resume from is missing.
        ValueError: The work directory holds another training, or none that can go on.
    """
    work_dir = Path(work_dir)
    earlier = earlier_training(work_dir)
    names = _names(earlier)
    if not resume:
        if earlier:
            raise ValueError(
                f"'{work_dir}' holds a training ({names}): go on with it by --resume, replace it "
                'by --overwrite (tools/train.py), or choose another --work-dir.'
            )
        return load_from
    if load_from:
        is_own = load_from == last_checkpoint(work_dir) or (
            '://' not in load_from and _folder(load_from) == work_dir.resolve()
        )
        if earlier and not is_own:
            raise ValueError(
                f"'{work_dir}' holds a training ({names}), and '{load_from}' is not of it: leave "
                'load_from out to go on with it, replace it by --overwrite (tools/train.py), or '
                'choose another --work-dir.'
            )
        _warn_of_later(load_from, earlier)
        return load_from
    if Path(work_dir, POINTER).is_file():
        return _noted_checkpoint(work_dir)
    if earlier:
        raise ValueError(_without_pointer(work_dir, earlier))
    _warn(f"Nothing to resume: '{work_dir}' holds no '{POINTER}'. Training starts at iteration 0.")
    return None


def _warn(line: str) -> None:
    print_log(line, logger='current', level=logging.WARNING)


def _without_pointer(work_dir: Path, earlier: list[Path]) -> str:
    holds = f"'{work_dir}' holds {_names(earlier)}, but no"
    if any(_iteration(file.name) >= 0 for file in earlier):
        return f'{holds} {POINTER} that names the one to resume from. {_what_to_resume(work_dir)}'
    return (
        f'{holds} checkpoint to resume from (no {POINTER}): best checkpoints hold weights alone. '
        'Start from these weights by load_from=PATH without --resume and with another --work-dir, '
        'or replace all by --overwrite.'
    )


def _noted_checkpoint(work_dir: Path) -> str:
    """The checkpoint that the pointer names."""
    checkpoint = last_checkpoint(work_dir)
    if checkpoint is None:
        noted = Path(work_dir, POINTER).read_text(errors='replace').strip()
        error = f"'{work_dir / POINTER}' names '{noted}', which does not exist."
        raise FileNotFoundError(f'{error} {_what_to_resume(work_dir)}')
    try:
        read_checkpoint(checkpoint)
    except ValueError as error:
        raise ValueError(f'{error} {_what_to_resume(work_dir)}') from None
    return checkpoint


def _what_to_resume(work_dir: Path) -> str:
    whole = []
    for path in sorted(work_dir.glob('*.pth')):
        with suppress(ValueError, OSError):
            read_checkpoint(path)
            whole.append(path.name)
    return (
        f"Complete checkpoints in '{work_dir}': {whole or 'none'}; resume from one with "
        '--resume --cfg-options load_from=PATH.'
    )


def _warn_of_later(load_from: str, earlier: list[Path]) -> None:
    later = [file for file in earlier if _iteration(file.name) > _iteration(Path(load_from).name)]
    if later and _iteration(Path(load_from).name) >= 0:
        _warn(
            f'The training goes back: {_names(later)} and results of later iterations are replaced '
            'as it gets there.'
        )


def _iteration(name: str) -> int:
    """The iteration in the name of a checkpoint, else -1."""
    number = re.search(r'iter_(\d+)\.pth$', name)
    return int(number[1]) if number else -1


def check_test(folder: str | Path) -> None:
    """Raise an error if a folder for the pictures of a test holds those of another.

    Args:
        folder (str | Path): Where the test is to write; it need not exist.

    Raises:
        ValueError: It holds pictures or a page of a test.
    """
    earlier = earlier_test(Path(folder))
    if earlier:
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


def earlier_test(folder: Path) -> list[Path]:
    """Pictures and page of a test."""
    return _files(folder, _OF_A_TEST)


def overwrite_training(work_dir: str | Path, *others: str) -> None:
    """Remove, and name, what an earlier training and its tests wrote; nothing else.

    Logs stay: each run has a folder of its own for them.

    Args:
        work_dir (str | Path): Work directory, which need not exist.
        *others (str): Names of further files that belong to the training.
    """
    work_dir = Path(work_dir)
    remove(
        work_dir,
        [
            *earlier_training(work_dir),
            *_files(work_dir, (RESULTS, PAGE, *others)),
            *earlier_test(work_dir / TEST),
            *_files(work_dir / 'validations', _OF_VALIDATIONS),
        ],
    )


def overwrite_test(folder: str | Path) -> None:
    """Remove, and name, the pictures and the page of an earlier test; nothing else."""
    remove(Path(folder), earlier_test(Path(folder)))


def remove(folder: Path, files: Iterable[Path]) -> None:
    """Remove files and the folders inside ``folder`` that this leaves empty; say which."""
    files = list(dict.fromkeys(files))
    if not files:
        return
    for file in files:
        file.unlink()
        for parent in file.parents:
            if parent == folder or any(parent.iterdir()):
                break
            parent.rmdir()
    places = Counter(file.relative_to(folder).parts[0] for file in files)
    names = [n if folder / n in files else f'{n}/ ({k} files)' for n, k in places.items()]
    _warn(f"--overwrite: removed from '{folder}' what an earlier run wrote: {', '.join(names)}.")


def _files(folder: Path, patterns: Iterable[str]) -> list[Path]:
    return sorted({p for pattern in patterns for p in folder.glob(pattern) if p.is_file()})


def _folder(file: str) -> Path:
    return Path(file).expanduser().parent.resolve()


def _names(files: list[Path]) -> str:
    shown = ', '.join(file.name for file in files[:_SHOWN])
    return shown + (f' and {len(files) - _SHOWN} more' if len(files) > _SHOWN else '')
