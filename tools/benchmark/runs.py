"""Trainings side by side on the CPU: each in a process of its own, on one core, resumable."""

import json
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
# Imported once for all runs: it takes longer than the shortest of them.
_PRELOADED = ['sesim_mmagic', 'mmagic.models', 'mmagic.datasets', 'mmagic.evaluation']


@dataclass(frozen=True)
class Run:
    """One training and its test.

    Args:
        title: Name for people.
        config: Path of the config, in the repository.
        work_dir: Folder for everything; ``result.json`` appears in it at the end.
        iterations: Number of iterations; the learning rate decays over the share of them that
            it does in the config.
        seed: Seed of the training.
        settings: Further settings of the config, by dotted keys.
    """

    title: str
    config: str
    work_dir: str
    iterations: int
    seed: int
    settings: dict = field(default_factory=dict)

    @property
    def result_path(self) -> Path:
        """Where the result is, once there is one."""
        return Path(self.work_dir, 'result.json')

    def result(self) -> dict | None:
        """Result of this run, None if it has not ended.

        Raises:
            ValueError: If the folder holds the result of another run.
        """
        if not self.result_path.exists():
            return None
        result = json.loads(self.result_path.read_text())
        if result['run'] != json.loads(json.dumps(asdict(self))):
            raise ValueError(
                f'{self.result_path} is the result of other settings ({result["run"]}); remove '
                f'{self.work_dir} or give another --out'
            )
        return result


def execute(run: Run) -> None:
    """Train and test in this process, which was made for it; its log goes to a file."""
    work_dir = Path(run.work_dir)
    with open(work_dir / 'log.txt', 'a', buffering=1) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        from mmengine.runner import Runner

        from sesim_mmagic.engine import ProgressHook
        from sesim_mmagic.engine.memory import keep_freed_memory
        from sesim_mmagic.utils.files import write_atomically

        keep_freed_memory()
        runner = Runner.from_cfg(_load_config(run))
        with open(work_dir / 'progress.txt', 'w') as stream:
            name = f'{run.title}, seed {run.seed}'
            runner.register_hook(ProgressHook(name=name, interval=1, stream=stream))
            steps = _time_steps(runner)
            runner.train()
        scores = {key.split('/')[1]: value for key, value in runner.test().items() if '/' in key}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        result = dict(run=asdict(run), step_seconds=median(steps), peak_mb=peak, scores=scores)
        write_atomically(run.result_path, json.dumps(result, indent=2) + '\n')


def _time_steps(runner) -> list[float]:
    """A list that fills with the seconds of each training step, data loading included.

    Seconds of this process on its core: a single thread's step takes as long on an idle machine,
    and a busy one, whose clock on the wall runs on for others, does not change them much.
    """
    from mmengine.hooks import Hook

    steps = []

    class StepClock(Hook):
        last = None

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            now = time.process_time()
            if self.last is not None:
                steps.append(now - self.last)
            self.last = now

    runner.register_hook(StepClock(), priority='LOWEST')
    return steps


def _load_config(run: Run):
    from mmengine.config import Config

    config = Config.fromfile(ROOT / run.config)
    scheduler, whole = config.param_scheduler, max(2, run.iterations)
    constant = round(whole * scheduler.begin / scheduler.end)
    config.merge_from_dict(
        {
            'work_dir': run.work_dir,
            'randomness.seed': run.seed,
            'train_cfg.max_iters': whole,
            'train_cfg.val_interval': whole,
            'param_scheduler.begin': min(constant, whole - 1),
            'param_scheduler.end': whole,
            'resume': Path(run.work_dir, 'last_checkpoint').exists(),
            **run.settings,
        }
    )
    return config


def execute_all(runs: Sequence[Run], jobs: int = 2) -> None:
    """Execute what has no result yet, ``jobs`` at a time, and show how far they are.

    Raises:
        SystemExit: If a run failed; its log is named.
    """
    # Two single threads do more than one after the other with two.
    os.environ.update(OMP_NUM_THREADS='1', MKL_NUM_THREADS='1')
    waiting = [run for run in runs if run.result() is None]
    done = [run for run in runs if run not in waiting]
    if done:
        print(
            f'{len(done)} of {len(runs)} trainings are done already and not repeated ('
            + ', '.join(f"'{run.work_dir}'" for run in done)
            + '); remove a folder, or give another --out, to train anew.'
        )
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(_PRELOADED)
    running, total = {}, len(waiting)
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                run = waiting.pop(0)
                Path(run.work_dir).mkdir(parents=True, exist_ok=True)
                Path(run.work_dir, 'progress.txt').unlink(missing_ok=True)
                process = context.Process(target=execute, args=(run,))
                process.start()
                running[process] = run
            done = total - len(waiting) - len(running)
            _show([*(_last_line(run) for run in running.values()), _bar(done, total)])
            # Until somebody ends; or for a moment, to show how far all are.
            wait([process.sentinel for process in running], 1 if sys.stdout.isatty() else 30)
            for process in [process for process in running if not process.is_alive()]:
                run = running.pop(process)
                if process.exitcode:
                    raise SystemExit(f'{run.title} failed; its log is {run.work_dir}/log.txt')
    except BaseException:
        for process in running:
            process.terminate()
        raise


def _last_line(run: Run) -> str:
    path = Path(run.work_dir, 'progress.txt')
    lines = path.read_text().splitlines() if path.exists() else []
    return lines[-1] if lines else f'{run.title}, seed {run.seed}: starting'


def _bar(done: int, total: int, width: int = 30) -> str:
    filled = width * done // total
    return f'[{"#" * filled}{"." * (width - filled)}] {done} of {total} trainings'


def _show(lines: list[str]) -> None:
    if sys.stdout.isatty():
        # Over the lines of the last time, which the terminal remembers the place of.
        print('\x1b[s' + '\x1b[K\n'.join(lines) + '\x1b[K\x1b[u', end='', flush=True)
    else:
        print('\n'.join(lines), flush=True)
