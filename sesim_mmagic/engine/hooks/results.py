"""What a training and its tests came to: one JSON file and one page in the work directory."""

import json
import math
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

import sesim_mmagic
from sesim_mmagic.engine.hooks.checkpoint import SafeCheckpointHook
from sesim_mmagic.engine.hooks.translations import SaveTranslationsHook
from sesim_mmagic.engine.report import PAGE, page_failure, run_name, write_results_page
from sesim_mmagic.engine.results_file import RESULTS, read_results
from sesim_mmagic.engine.sources import SourceCount
from sesim_mmagic.engine.work_dir import TEST
from sesim_mmagic.registry import HOOKS
from sesim_mmagic.utils.files import write_atomically

_SPLITS = dict(train='train', val='val (held-out)', test='test')
# Points of a curve, at most; each is the mean of as many iterations as that takes.
_CURVE_POINTS = 200


@HOOKS.register_module()
class ResultsHook(Hook):
    """Write ``results.json`` and ``report.html`` into the work directory.

    Both are renewed after every validation, at the end of a training and after every test, whether
    the test follows the training or is a run of its own. They hold

    * ``config``, ``sesim_mmagic`` (version), ``seed``;
    * ``training``: ``iterations`` so far and ``max_iterations``, ``ranks`` and the ``device`` of
      rank 0, ``seconds`` (all iterations, with the time to load data and write checkpoints),
      ``seconds_per_iteration`` (median), ``peak_memory_mb`` of rank 0 and what it is of
      (``memory_of``);
    * ``validation``: ``split``, ``pictures`` and ``history``, the ``metrics`` by ``iteration``;
    * ``best``: ``key``, ``rule``, ``value``, ``iteration`` and ``checkpoint`` for each score of
      ``save_best``;
    * ``tests``: ``split``, ``pictures``, ``checkpoint``, ``iteration`` and ``metrics`` of each
      checkpoint that was tested, the last test of it; ``page`` and ``examples``, some pictures;
    * ``losses``: curves, pairs of an iteration and the mean loss since the pair before.

    A score that is no finite number is null. Paths are relative to the work directory where they
    lie in it. A training that starts anew forgets what was there; one that is resumed goes on with
    what belongs to the iterations before. Rank 0 writes.

    Raises:
        ValueError: On resume and in a test, if there is a ``results.json`` that cannot be read; in
            a test if it holds the scores of such a test, and nobody said that they may go.
    """

    # After the best checkpoint was saved and the pictures of the test were.
    priority = 'LOWEST'
    #: Whether the scores of an earlier test of the same checkpoint may go.
    overwrite = False

    def __init__(self) -> None:
        self._results: dict[str, Any] = {}
        self._trained = False
        self._loaded_iteration: int | None = None
        # What was translated into each domain.
        self._sources = SourceCount()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note how long the weights were trained."""
        self._loaded_iteration = checkpoint.get('meta', {}).get('iter')

    def before_train(self, runner: Runner) -> None:
        """Start anew, or go on with what belongs to the iterations before."""
        self._trained = True
        if not is_main_process():
            return
        earlier = read_results(runner.work_dir) or {}
        if runner.iter > 0:
            self._results = _until(earlier, runner.iter)
        else:  # tests of other checkpoints stay, of another training nothing does
            is_other = 'training' in earlier
            self._results = {k: v for k, v in earlier.items() if k == 'tests' and not is_other}

    def before_val_epoch(self, runner: Runner) -> None:
        """Count anew."""
        self._sources.clear()

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Count the sources of a batch."""
        self._sources.add(runner, outputs)

    after_test_iter = after_val_iter

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Add a validation of the training."""
        pictures = self._sources.total()
        if not is_main_process() or not self._trained:
            return
        dataset = runner.val_dataloader.dataset
        validation = self._results.setdefault('validation', {})
        validation.update(split=_split(dataset, 'val'), pictures=pictures or len(dataset))
        history = validation.setdefault('history', [])
        history[:] = [entry for entry in history if entry['iteration'] < runner.iter]
        history.append(dict(iteration=runner.iter, metrics=_numbers(metrics)))
        self._write_training(runner)

    def after_train(self, runner: Runner) -> None:
        """Write the results of the whole training."""
        if is_main_process():
            self._write_training(runner)

    def before_test(self, runner: Runner) -> None:
        """Look for the scores of an earlier test: they do not go unasked.

        A test that follows a training in one run replaces its own.
        """
        if self._trained:
            return
        tested = self._tested_weights(runner)['checkpoint']
        split = _split(runner.test_dataloader.dataset, 'test')
        tests = (read_results(runner.work_dir) or {}).get('tests', ())
        message = f"'{Path(runner.work_dir, RESULTS)}' holds the scores of a test of '{tested}'"
        if (tested, split) in [(test['checkpoint'], test['split']) for test in tests]:
            if not self.overwrite:
                raise ValueError(
                    f'{message}: replace them by --overwrite (tools/test.py), or choose another '
                    '--work-dir.'
                )
            runner.logger.warning(f'--overwrite: {message}, which are replaced.')

    def before_test_epoch(self, runner: Runner) -> None:
        """Count anew; read what other tests came to, while there is nothing to lose yet."""
        self._sources.clear()
        if is_main_process() and not self._trained:
            self._results = read_results(runner.work_dir) or {}

    def after_test_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Add a test, in the place of an earlier one of the same checkpoint."""
        pictures = self._sources.total()
        if not is_main_process():
            return
        dataset = runner.test_dataloader.dataset
        test = dict(
            split=_split(dataset, 'test'),
            pictures=pictures or len(dataset),
            **self._tested_weights(runner),
            metrics=_numbers(metrics),
        )
        test.update(_pictures(runner))
        tests = self._results.get('tests', [])
        others = [t for t in tests if any(t[key] != test[key] for key in ('checkpoint', 'split'))]
        self._results['tests'] = [*others, test]
        self._write(runner)

    def _tested_weights(self, runner: Runner) -> dict:
        if self._trained:
            path = runner.message_hub.runtime_info.get('last_ckpt')
            return dict(checkpoint=_inside(runner, path), iteration=runner.iter)
        # `--cfg-options load_from` and tools/test.py both end up there.
        return dict(checkpoint=_inside(runner, runner._load_from), iteration=self._loaded_iteration)

    def _write_training(self, runner: Runner) -> None:
        earlier = self._results.get('training', {})
        memory, memory_of = _peak_memory()
        times = _history(runner, 'train/time')
        self._results.update(
            seed=runner.seed,
            training=dict(
                iterations=runner.iter,
                max_iterations=runner.max_iters,
                ranks=get_world_size(),
                device=torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU',
                seconds=float(times.sum()),
                seconds_per_iteration=float(np.median(times)) if len(times) else None,
                peak_memory_mb=max(memory, earlier.get('peak_memory_mb', 0)),
                memory_of=memory_of,
            ),
            best=self._best(runner),
            losses=_loss_curves(runner),
        )
        self._write(runner)

    def _best(self, runner: Runner) -> list[dict]:
        history = self._results.get('validation', {}).get('history', [])
        hooks = [hook for hook in runner.hooks if isinstance(hook, SafeCheckpointHook)]
        best = [entry for hook in hooks for entry in hook.best(runner)]
        for entry in best:
            reached = [v for v in history if v['metrics'].get(entry['key']) == entry['value']]
            entry['iteration'] = reached[0]['iteration'] if reached else None
            entry['checkpoint'] = _inside(runner, entry['checkpoint'])
        return best

    def _write(self, runner: Runner) -> None:
        self._results.update(config=run_name(runner), sesim_mmagic=sesim_mmagic.__version__)
        keys = 'config sesim_mmagic seed training best validation tests losses'.split()
        results = {key: self._results[key] for key in keys if key in self._results}
        text = json.dumps(results, indent=2, allow_nan=False)
        write_atomically(Path(runner.work_dir, RESULTS), text + '\n')
        try:
            write_results_page(runner.work_dir, results)
        except Exception as error:  # whatever a page meets, the results are written
            runner.logger.warning(page_failure(Path(runner.work_dir, PAGE), error))


def _until(results: dict, iteration: int) -> dict:
    """Results without what belongs to later iterations; those will be trained again."""
    if 'validation' in results:
        history = results['validation']['history']
        results['validation']['history'] = [v for v in history if v['iteration'] <= iteration]
    if 'tests' in results:
        tests = results['tests']
        results['tests'] = [test for test in tests if (test['iteration'] or 0) <= iteration]
    return results


def _split(dataset: Any, default: str) -> str:
    """Which pictures these are, in words: a validation on the test pictures is to be seen."""
    return _SPLITS.get(getattr(dataset, 'split', default), default)


def _numbers(metrics: dict | None) -> dict[str, float | None]:
    """Scores as JSON holds them: floats, and None for what is not finite; no tables or texts."""
    values = {k: float(v) for k, v in (metrics or {}).items() if np.size(v) == 1 and _is_number(v)}
    return {key: value if math.isfinite(value) else None for key, value in values.items()}


def _is_number(value: Any) -> bool:
    return torch.is_tensor(value) or np.issubdtype(np.asarray(value).dtype, np.number)


def _inside(runner: Runner, path: str | None) -> str | None:
    """A path relative to the work directory where it lies in it; None stays None."""
    if path is None:
        return None
    folder = Path(runner.work_dir).resolve()
    # Of a link the place counts, not what it points to.
    file = Path(path).parent.resolve() / Path(path).name
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else str(file)


def _pictures(runner: Runner) -> dict:
    """Page and first pictures of the test."""
    for hook in runner.hooks:
        if isinstance(hook, SaveTranslationsHook) and hook.examples is not None:
            rows = [
                [name, [path and _inside(runner, path) for path in paths]]
                for name, paths in hook.examples['rows']
            ]
            examples = dict(columns=hook.examples['columns'], rows=rows)
            return dict(page=f'{TEST}/index.html', examples=examples)
    return {}


def _history(runner: Runner, key: str) -> np.ndarray:
    """Values of one log variable, one an iteration; the checkpoint keeps them."""
    buffer = runner.message_hub.log_scalars.get(key)
    return np.asarray(buffer.data[0], dtype=np.float64) if buffer is not None else np.zeros(0)


def _loss_curves(runner: Runner) -> dict[str, list]:
    curves = {}
    for key in runner.message_hub.log_scalars:
        if not key.startswith('train/loss'):
            continue
        values = _history(runner, key)
        parts = np.array_split(values, min(_CURVE_POINTS, len(values)))
        ends = runner.iter - len(values) + np.cumsum([len(part) for part in parts])
        means = [float(part.mean()) for part in parts]
        curves[key.removeprefix('train/')] = [
            [int(end), mean if math.isfinite(mean) else None]
            for end, mean in zip(ends, means, strict=True)
        ]
    return curves


def _peak_memory() -> tuple[float, str]:
    """Most memory so far in MB (2^20 bytes), and of what."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20, 'tensors on the GPU'
    unit = 1 if sys.platform == 'darwin' else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 'process'
