"""What a training or a test would stumble over is looked for before the work, not after it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import EMAHook
from mmengine.logging import print_log
from mmengine.runner import BaseLoop, Runner
from torch import nn

from sesim_mmagic.engine.models import translator_of
from sesim_mmagic.engine.sources import parts_of
from sesim_mmagic.utils.random import seeded_generators

_ENDING = '_path'


class ScoresMissing(RuntimeError):
    """A test has done its work but for some scores."""


class _Problems:
    """What is missing, by the settings that need it."""

    def __init__(self) -> None:
        self._settings: dict[str, list[str]] = {}
        self._types: set[type] = set()

    @contextmanager
    def of(self, setting: str) -> Iterator[None]:
        """Keep an error that follows from a setting; equal ones are told once."""
        try:
            yield
        except (OSError, ValueError) as error:
            self._settings.setdefault(' '.join(str(error).split()), []).append(setting)
            self._types.add(FileNotFoundError if isinstance(error, OSError) else ValueError)

    def refuse(self) -> None:
        """Raise one error that holds all of them."""
        lines = [f'{" and ".join(names)}: {line}' for line, names in self._settings.items()]
        if len(lines) > 1:
            numbered = '; '.join(f'({i}) {line}' for i, line in enumerate(lines, start=1))
            lines = [f'{len(lines)} things keep the training from starting. {numbered}']
        if lines:
            raise (self._types.pop() if len(self._types) == 1 else ValueError)(lines[0])


def check_metrics(runner: Runner) -> None:
    """Look for what the losses, the validation and the test after a training need.

    Weights are read (a file may be fetched), domains are compared with the model's, pictures are
    counted: else hours of training would come before the error. The loops of validation and test
    are built for that, and stay.

    Args:
        runner (Runner): Its model is built.

    Raises:
        FileNotFoundError: Files are missing or cannot be downloaded; all of them are named.
        ValueError: A file holds something else, a metric measures another domain, there are too
            few pictures for a score, or several of these; all of them are named.
    """
    problems, model = _Problems(), translator_of(runner.model)
    with seeded_generators(0):  # networks that are built draw weights; the training's stay its own
        for name, user in model.feature_users.items():
            with problems.of(f'model.{name}'):
                user.init_weights()
        for part in ('val', 'test'):
            with problems.of(f'{part}_dataloader.dataset'):
                try:
                    loop = getattr(runner, f'{part}_loop')
                except FileNotFoundError as error:
                    if part == 'val':
                        raise
                    # It may come while the model is trained.
                    print_log(f'test_dataloader.dataset: {error}', 'current', logging.WARNING)
                    continue
                for loader, evaluator in parts_of(loop) if loop else ():
                    name = f'{part}_evaluator'
                    _check_evaluator(problems, model, name, loader.dataset, evaluator)
    problems.refuse()


def _check_evaluator(
    problems: _Problems, model: nn.Module, name: str, dataset: Any, evaluator: Evaluator
) -> None:
    _translate_copies_for_others(evaluator, dataset)
    pictures = None
    for number, metric in enumerate(evaluator.metrics):
        if not hasattr(metric, 'check_pictures'):
            continue
        label = f'{name}.{number} ({type(metric).__name__})'
        pictures = pictures_by_domain(dataset) if pictures is None else pictures
        for check in (
            partial(_check_domains, model, metric),
            metric.init_weights,
            partial(metric.check_pictures, pictures),
        ):
            with problems.of(label):
                check()


def _check_domains(model: nn.Module, metric: BaseMetric) -> None:
    domains, domain = translator_of(model).domains, metric.target_domain
    if domain not in domains:
        raise ValueError(
            f"{type(metric).__name__} measures translations into '{domain}', the model translates "
            f'into {list(domains)}: set target_domain and source_domain of the metrics in '
            'val_evaluator and test_evaluator'
        )


def check_held_out(runner: Runner, trained: Any) -> None:
    """Refuse to validate on pictures that a training was to hold out, and trains on.

    Args:
        runner (Runner): Its validation loop is built.
        trained (Dataset): Of the training. Data sets that are wrapped into others are not seen.

    Raises:
        ValueError: ``held_out`` of the two data sets differs, so that they share pictures.
    """
    for loader, _ in parts_of(runner.val_loop) if runner.val_loop else ():
        dataset = loader.dataset
        if not getattr(dataset, 'held_out', 0):
            continue
        if shared := _paths(trained) & _paths(dataset):
            raise ValueError(
                f'val_dataloader.dataset: held_out={dataset.held_out}, and held_out='
                f'{getattr(trained, "held_out", 0)} in train_dataloader.dataset, which trains on '
                f'{len(shared)} of the pictures held out: give both data sets the same number'
            )


def _paths(dataset: Any) -> set[str]:
    """Pictures of an unpaired data set; none of another."""
    lists = (getattr(dataset, name, ()) for name in ('data_infos_a', 'data_infos_b'))
    return {info['path'] for infos in lists for info in infos}


def pictures_by_domain(dataset: Any) -> dict[str, list[str]]:
    """Paths of the pictures of a data set by their domain, each once.

    Args:
        dataset (Dataset): Its ``get_data_info`` names the pictures of a sample, its pipeline the
            domains (``img_{domain}_path`` of the sample).

    Returns:
        dict[str, list[str]]: Empty where the data set does not tell.
    """
    if not hasattr(dataset, 'get_data_info') or not len(dataset):
        return {}
    sample = dataset[0]['data_samples']
    infos = [dataset.get_data_info(number) for number in range(len(dataset))]
    pictures = {}
    for key in sample.metainfo_keys():
        if not (key.startswith('img_') and key.endswith(_ENDING)):
            continue
        for name, path in infos[0].items():
            if name.endswith(_ENDING) and path == sample.get(key):
                paths = dict.fromkeys(info[name] for info in infos)
                pictures[key[len('img_') : -len(_ENDING)]] = list(paths)
    return pictures


def prepare_test(runner: Runner) -> None:
    """Before a test: a score that cannot be computed is said now, and does not cost the others.

    Args:
        runner (Runner): Its test loop is built.

    Raises:
        ValueError: A metric measures another domain than the model translates into.
    """
    for loader, evaluator in parts_of(runner.test_loop):
        own = [metric for metric in evaluator.metrics if hasattr(metric, 'check_pictures')]
        _translate_copies_for_others(evaluator, loader.dataset)
        pictures = None
        for metric in own:
            _check_domains(runner.model, metric)
            metric.raises = False
            try:
                metric.init_weights()
                pictures = pictures_by_domain(loader.dataset) if pictures is None else pictures
                metric.check_pictures(pictures)
            except (OSError, ValueError) as error:
                metric.give_up(error)


def finish_test(runner: Runner) -> None:
    """After everything of a test is written.

    Raises:
        ScoresMissing: If a metric gave no scores; the message names each, and why.
    """
    failures = [
        f'{type(metric).__name__}: {metric.failure}'
        for _, evaluator in parts_of(runner.test_loop)
        for metric in evaluator.metrics
        if getattr(metric, 'failure', None)
    ]
    if failures:
        raise ScoresMissing(
            'pictures and the other scores are written, but not the scores of '
            + '; '.join(' '.join(failure.split()) for failure in failures)
        )


def _translate_copies_for_others(evaluator: Evaluator, dataset: Any) -> None:
    """Let copies be translated where a metric that is not this package's wants every sample."""
    foreign = [m for m in evaluator.metrics if not hasattr(m, 'check_pictures')]
    if foreign and getattr(dataset, 'marks_repeated', False):
        dataset.marks_repeated = False
        counts = {len(paths) for paths in pictures_by_domain(dataset).values()}
        if len(counts) > 1:
            print_log(
                f'{type(foreign[0]).__name__} is no metric of this package and counts every '
                f'sample: of {max(counts)} samples some repeat one of the {min(counts)} pictures '
                'of the smaller folder.',
                'current',
                logging.WARNING,
            )


def check_hooks(runner: Runner) -> None:
    """Refuse hooks that would fail in the middle of a run, or without a word do nothing.

    Args:
        runner (Runner): Before the first iteration, with its loops built.

    Raises:
        ValueError: There is such a hook; the message names this package's way.
    """
    own = "take this package's moving average, model=dict(ema=dict(momentum=...)), instead"
    for hook in runner.hooks:
        kind = type(hook)
        if isinstance(hook, EMAHook) and (
            hook.ema_cfg.get('update_buffers') or hook.begin_iter or hook.begin_epoch
        ):
            raise ValueError(
                f'{kind.__name__} with update_buffers, begin_iter or begin_epoch copies all state '
                f'of the model, and the image buffers grow: {own}, or leave these arguments out.'
            )
        of_mmagic = kind.__module__.startswith('mmagic.')
        if of_mmagic and kind.__name__ == 'ExponentialMovingAverageHook':
            raise ValueError(
                f"MMagic's {kind.__name__} averages {', '.join(hook.module_keys)}, which no "
                f'translation model translates with: {own}.'
            )
    for loop in (runner._val_loop, runner._test_loop):
        # MMagic's timer asks every loop for what its own loops alone know.
        if isinstance(loop, BaseLoop) and not hasattr(loop, 'total_length'):
            loop.total_length = len(loop.dataloader)
