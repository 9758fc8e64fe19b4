"""What a validation or a test would stumble over is looked for before the work, not after it."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from sesim_mmagic.engine.weights import translator_of, unwrapped
from sesim_mmagic.registry import METRICS

_ENDING = '_path'


class ScoresMissing(RuntimeError):
    """A test has done its work but for some scores."""


class _Problems:
    """What is missing, by the settings that need it."""

    def __init__(self) -> None:
        self._found: dict[str, list[str]] = {}
        self._types: set[type] = set()

    def note(self, setting: str, check: Callable, *args: Any) -> None:
        """Call a check of a setting."""
        try:
            check(*args)
        except (OSError, ValueError) as error:
            self.add(setting, error)

    def add(self, setting: str, error: Exception) -> None:
        """Keep an error that follows from a setting; equal ones are told once."""
        self._found.setdefault(' '.join(str(error).split()), []).append(setting)
        self._types.add(FileNotFoundError if isinstance(error, OSError) else ValueError)

    def refuse(self) -> None:
        """Raise one error that holds all of them."""
        lines = [f'{" and ".join(settings)}: {line}' for line, settings in self._found.items()]
        if len(lines) > 1:
            numbered = '; '.join(f'({i}) {line}' for i, line in enumerate(lines, start=1))
            lines = [f'{len(lines)} things keep the training from starting. {numbered}']
        if lines:
            raise (self._types.pop() if len(self._types) == 1 else ValueError)(lines[0])


def check_metrics(runner: Runner) -> None:
    """Look for what the losses, the validation and the test after a training need.

    Weights are read (a file may be fetched), domains are compared with the model's, pictures are
    counted: else hours of training would come before the error.

    Args:
        runner (Runner): Its model is built; evaluators and data sets are taken from its config.

    Raises:
        FileNotFoundError: Files are missing or cannot be downloaded; all of them are named.
        ValueError: A file holds something else, a metric measures another domain, there are too
            few pictures for a score, or several of these; all of them are named.
    """
    from sesim_mmagic.utils.random import seeded_generators

    problems = _Problems()
    with seeded_generators(0):  # networks that are built draw weights; the training's stay its own
        _look(runner.cfg, unwrapped(runner.model), problems)
    problems.refuse()


def _look(cfg: Config, model: nn.Module, problems: _Problems) -> None:
    for name, loss in model.named_children():
        if name.endswith('_loss') and hasattr(unwrapped(loss), 'init_weights'):
            problems.note(f'model.{name}', unwrapped(loss).init_weights)
    parts = ['test'] if cfg.get('val_dataloader') is None else ['val', 'test']
    for part in parts:
        metrics = list(_own_metrics(cfg.get(f'{part}_evaluator'), f'{part}_evaluator'))
        for label, metric in metrics:
            problems.note(label, _check_domains, model, metric)
            problems.note(label, metric.init_weights)
        loader = cfg.get(f'{part}_dataloader')
        if metrics and isinstance(loader, Mapping):
            pictures = _pictures_of_config(problems, part, loader['dataset'])
            for label, metric in metrics if pictures else ():
                problems.note(label, metric.check_pictures, pictures)


def _pictures_of_config(problems: _Problems, part: str, dataset: Mapping) -> dict | None:
    """Pictures of a data set; a test set may come after the training, that of a validation not."""
    name = f'{part}_dataloader.dataset'
    try:
        return pictures_by_domain(DATASETS.build(dataset))
    except (OSError, ValueError) as error:
        if part == 'val' or not isinstance(error, FileNotFoundError):
            problems.add(name, error)
        else:
            print_log(f'{name}: {error}', 'current', logging.WARNING)
    return None


def _own_metrics(evaluator: Any, name: str) -> Iterator[tuple[str, BaseMetric]]:
    """The metrics of this package in the config of an evaluator, built, with their settings."""
    if isinstance(evaluator, Mapping):
        inside = evaluator.get('metrics')
        if inside is not None:
            evaluator, name = inside, f'{name}.metrics'
    configs = evaluator if isinstance(evaluator, Sequence) else [evaluator]
    for number, config in enumerate(configs):
        kind = METRICS.get(config['type']) if isinstance(config, Mapping) else None
        if hasattr(kind, 'check_pictures'):
            number = f'.{number}' if isinstance(evaluator, Sequence) else ''
            yield f'{name}{number} ({kind.__name__})', METRICS.build(config)


def _check_domains(model: nn.Module, metric: BaseMetric) -> None:
    domains, domain = translator_of(model).domains, metric.target_domain
    if domain not in domains:
        raise ValueError(
            f"{type(metric).__name__} measures translations into '{domain}', the model translates "
            f'into {list(domains)}: set target_domain and source_domain of the metrics in '
            'val_evaluator and test_evaluator'
        )


def pictures_by_domain(dataset: Dataset) -> dict[str, list[str]]:
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
    found = {}
    for key in sample.metainfo_keys():
        if not (key.startswith('img_') and key.endswith(_ENDING)):
            continue
        for name, path in infos[0].items():
            if name.endswith(_ENDING) and path == sample.get(key):
                paths = dict.fromkeys(info[name] for info in infos)
                found[key[len('img_') : -len(_ENDING)]] = list(paths)
    return found


def prepare_validation(runner: Runner) -> None:
    """Before a training: metrics of others get every sample of the validation."""
    for loader, evaluator in _parts(runner.val_loop):
        _translate_copies_for_others(evaluator, loader.dataset)


def prepare_test(runner: Runner) -> None:
    """Before a test: a score that cannot be computed is said now, and does not cost the others.

    Args:
        runner (Runner): Its test loop is built.

    Raises:
        ValueError: A metric measures another domain than the model translates into.
    """
    for loader, evaluator in _parts(runner.test_loop):
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
        for _, evaluator in _parts(runner.test_loop)
        for metric in evaluator.metrics
        if getattr(metric, 'failure', None)
    ]
    if failures:
        raise ScoresMissing(
            'pictures and the other scores are written, but not the scores of '
            + '; '.join(' '.join(failure.split()) for failure in failures)
        )


def _translate_copies_for_others(evaluator: Any, dataset: Dataset) -> None:
    """Let copies be translated where a metric that is not this package's wants every sample.

    Args:
        evaluator (Evaluator): Of a validation or a test.
        dataset (Dataset): Its data set.
    """
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


def _parts(loop: Any) -> list[tuple]:
    """Data loaders and evaluators of a loop; MMagic's loops have several."""
    if hasattr(loop, 'evaluators'):
        return list(zip(loop.dataloaders, loop.evaluators, strict=True))
    return [(loop.dataloader, loop.evaluator)]
