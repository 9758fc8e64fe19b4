"""Trainings side by side on the CPU: each in a process of its own, on one core, resumable."""

import fcntl
import json
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import IO, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

ROOT = Path(__file__).resolve().parents[2]
# Imported once for all trainings: it takes longer than the shortest of them.
_PRELOADED = ['sesim_mmagic', 'mmagic.models', 'mmagic.datasets', 'mmagic.evaluation']


@dataclass(frozen=True)
class Training:
    """One training and its test.

    Args:
        title: Name for people.
        config: Path of the config, in the repository.
        work_dir: Folder for everything; its ``results.json`` says what came out.
        data_root: Folder of the data set.
        iterations: Number of iterations; the learning rate decays over the share of them that
            it does in the config.
        seed: Seed of the training.
        settings: Further settings of the config, by dotted keys.
        amp: Whether it trains in mixed precision.
    """

    title: str
    config: str
    work_dir: str
    data_root: str
    iterations: int
    seed: int
    settings: dict = field(default_factory=dict)
    amp: bool = False

    def results(self) -> dict | None:
        """What this training came to, None if it has not ended.

        Returns:
            dict | None: The settings, ``step_seconds`` (median of its iterations), ``peak_mb`` of
            its process and ``scores`` of the test, by name.

        Raises:
            ValueError: If the folder holds another training.
        """
        from sesim_mmagic.engine import read_results

        own, noted = json.loads(json.dumps(asdict(self))), Path(self.work_dir, 'settings.json')
        if noted.exists() and json.loads(noted.read_text()) != own:
            raise ValueError(
                f'{self.work_dir} holds a training of other settings ({noted.read_text()}); remove '
                'it or give another --out'
            )
        results = read_results(self.work_dir) or {}
        if not noted.exists() or not results.get('tests'):
            return None
        metrics = results['tests'][-1]['metrics']
        return dict(
            run=own,
            step_seconds=results['training']['seconds_per_iteration'],
            peak_mb=results['training']['peak_memory_mb'],
            scores={key.rpartition('/')[2]: value for key, value in metrics.items()},
        )


def train_all(trainings: Sequence[Training], jobs: int = 2) -> None:
    """Train and test what has no results yet, ``jobs`` at a time, and show how far they are.

    Raises:
        ValueError: If another process trains in one of the folders.
        SystemExit: If a training failed; its log is named.
    """
    # Two single threads do more than one after the other with two.
    os.environ.update(OMP_NUM_THREADS='1', MKL_NUM_THREADS='1')
    waiting = [training for training in trainings if training.results() is None]
    for training in waiting:
        hold(training.work_dir).close()  # before the work of the others, too
    ended = [training.work_dir for training in trainings if training not in waiting]
    if ended:
        print(
            f'{len(ended)} of {len(trainings)} trainings are done already and not repeated '
            f'({", ".join(map(repr, ended))}); remove a folder, or give another --out, to train '
            'anew.'
        )
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(_PRELOADED)
    running, done = {}, context.Value('i', 0)
    columns = BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(TextColumn('{task.description}'), *columns) as progress:
        bar = progress.add_task('trainings', total=sum(training.iterations for training in waiting))
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    process = context.Process(target=train, args=(waiting[0], done))
                    process.start()
                    running[process] = waiting.pop(0)
                names = [f'{training.title}, seed {training.seed}' for training in running.values()]
                progress.update(bar, completed=done.value, description=' | '.join(names))
                wait([process.sentinel for process in running], timeout=0.5)
                for process in [p for p in running if p.exitcode is not None]:
                    training = running.pop(process)
                    if process.exitcode:
                        log = Path(training.work_dir, 'log.txt')
                        raise SystemExit(f'{training.title} failed; its log is {log}')
        finally:
            for process in running:
                process.terminate()


def hold(work_dir: str) -> IO:
    """A file of a training's folder that one process alone can have open.

    The system lets it go when the process ends, however it ends.

    Raises:
        ValueError: Another process holds it.
    """
    Path(work_dir).mkdir(parents=True, exist_ok=True)
    file = open(Path(work_dir, 'lock'), 'w')
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError(
            f"another process trains in '{work_dir}': wait for it, end it, or give another --out"
        ) from None
    return file


def train(training: Training, done: Any) -> None:
    """Train and test in this process, which was made for it; its log goes to a file.

    Args:
        training (Training): What to do.
        done (multiprocessing.Value): The number of iterations done is added to it.
    """
    work_dir = Path(training.work_dir)
    with hold(training.work_dir), open(work_dir / 'log.txt', 'a', buffering=1) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        from mmengine.hooks import Hook
        from mmengine.runner import Runner

        from sesim_mmagic.engine.cpu import keep_freed_memory
        from sesim_mmagic.utils.files import write_atomically

        class Count(Hook):
            def before_train(self, runner: Runner) -> None:
                self.add(runner.iter)  # of an interrupted training

            def after_train_iter(self, *args: Any, **kwargs: Any) -> None:
                self.add(1)

            def add(self, iterations: int) -> None:
                with done.get_lock():
                    done.value += iterations

        keep_freed_memory()
        runner = Runner.from_cfg(load_config(training))
        write_atomically(work_dir / 'settings.json', json.dumps(asdict(training)))
        runner.register_hook(Count())
        runner.train()
        runner.test()


def translated_scenes(
    trainings: Sequence[Training], source: str, target: str
) -> Iterator[tuple[str, list[Path]]]:
    """Name of each test scene; its source, every training's translation and its truth, if any.

    Raises:
        FileNotFoundError: Somebody removed the translations of a test.
    """
    tests = [Path(training.work_dir, 'test') for training in trainings]
    folders = [test / 'translations' / target for test in tests]
    names = [{path.name for path in folder.glob('*.png')} for folder in folders]
    every = set().union(*names)
    for folder, own in zip(folders, names, strict=True):
        if not own or own != every:
            raise FileNotFoundError(
                f"'{folder}' holds {len(own)} of {len(every)} translations: remove the folder of "
                'the training, and the comparison trains it anew'
            )
    for name in sorted(every):
        truth = tests[0] / 'truths' / target / name
        known = [truth] if truth.is_file() else []
        translated = [folder / name for folder in folders]
        yield Path(name).stem, [tests[0] / 'inputs' / source / name, *translated, *known]


def write_grid(
    path: str | Path, titles: Sequence[str], rows: Sequence[tuple[str, Sequence[Path]]]
) -> None:
    """Write pictures under the titles of their columns as one PNG; each row has a label."""
    from sesim_mmagic.engine.map_figure import Cell, draw_maps
    from sesim_mmagic.engine.pictures import write_picture
    from sesim_mmagic.utils.images import read_picture

    cells = [(label, [Cell(read_picture(picture)) for picture in paths]) for label, paths in rows]
    write_picture(path, draw_maps([('', titles)], cells)[..., ::-1])


def load_config(training: Training) -> Any:
    """The config of a training with all its settings."""
    from sesim_mmagic.apis.config_files import merge_settings, read_config, set_everywhere
    from sesim_mmagic.apis.launch import enable_amp

    config = read_config(ROOT / training.config)
    set_everywhere(config, 'data_root', training.data_root)
    merge_settings(config, training.settings, 'settings')
    # A schedule among the settings is, like the config's own, one of the config's iterations.
    set_everywhere(config, 'max_iters', training.iterations)
    config.merge_from_dict(
        {
            'work_dir': training.work_dir,
            'randomness.seed': training.seed,
            'train_cfg.val_interval': training.iterations,
            'resume': Path(training.work_dir, 'last_checkpoint').exists(),
        }
    )
    if training.amp:
        enable_amp(config)
    return config
