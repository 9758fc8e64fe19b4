"""Trainings side by side on the CPU: each in a process of its own, on one core, resumable."""

import json
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median


@dataclass(frozen=True)
class Run:
    """One training and its test.

    Args:
        title: Name for people.
        config: Path of the config.
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
        from sesim_mmagic.engine.files import write_atomically
        from sesim_mmagic.engine.memory import keep_freed_memory

        keep_freed_memory()
        runner = Runner.from_cfg(_load_config(run))
        with open(work_dir / 'progress.txt', 'w') as stream:
            name = f'{run.title}, seed {run.seed}'
            runner.register_hook(ProgressHook(name=name, interval=1, stream=stream))
            runner.train()
        # Data loading included; the median, because a busy machine only ever adds.
        times, _ = runner.message_hub.get_scalar('train/time').data
        scores = {key.split('/')[1]: value for key, value in runner.test().items() if '/' in key}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        result = dict(run=asdict(run), step_seconds=median(times), peak_mb=peak, scores=scores)
        write_atomically(run.result_path, json.dumps(result, indent=2) + '\n')


def _load_config(run: Run):
    from mmengine.config import Config

    config = Config.fromfile(run.config)
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
    context = multiprocessing.get_context('spawn')
    running = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            run = waiting.pop(0)
            Path(run.work_dir).mkdir(parents=True, exist_ok=True)
            Path(run.work_dir, 'progress.txt').unlink(missing_ok=True)
            process = context.Process(target=execute, args=(run,))
            process.start()
            running[process] = run
        _show([_last_line(run) for run in running.values()], len(waiting))
        for process in [process for process in running if not process.is_alive()]:
            run = running.pop(process)
            if process.exitcode:
                for other in running:
                    other.terminate()
                raise SystemExit(f'{run.title} failed; its log is {run.work_dir}/log.txt')


def _last_line(run: Run) -> str:
    path = Path(run.work_dir, 'progress.txt')
    lines = path.read_text().splitlines() if path.exists() else []
    return lines[-1] if lines else f'{run.title}, seed {run.seed}: starting'


def _show(lines: list[str], waiting: int) -> None:
    terminal = sys.stdout.isatty()
    clear = '\x1b[K' if terminal else ''
    for line in [*lines, *([f'{waiting} waiting'] if waiting else [])]:
        print(line + clear, flush=True)
    time.sleep(1 if terminal else 20)
    if terminal:
        print(f'\x1b[{len(lines) + bool(waiting)}A\x1b[J', end='')
