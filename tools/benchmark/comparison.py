"""What is compared: a file's methods, budgets and seeds, read and checked before the work."""

import argparse
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from trainings import ROOT, Training, load_config

from sesim_mmagic.apis import command_line
from sesim_mmagic.utils.checks import (
    check_choice,
    check_flags,
    check_ints,
    check_keys,
    check_many,
    check_numbers,
    check_texts,
)
from sesim_mmagic.utils.messages import in_one_line


@dataclass(frozen=True)
class Method:
    """What is trained.

    Args:
        config: Path of its config, from the root of the repository.
        settings: Settings of the config that differ, by dotted keys.
        step_ms: Time of a step that has a core and its caches for itself, in milliseconds.

    Raises:
        ValueError: One of them is something else.
    """

    config: str
    settings: dict = field(default_factory=dict)
    step_ms: float | None = None

    def __post_init__(self) -> None:
        check_texts(self, config=self.config)
        check_keys(self, self.settings or (), settings=self.settings)
        check_numbers(self, above=0, also=(None,), step_ms=self.step_ms)


@dataclass(frozen=True)
class Comparison:
    """Contents of a file.

    Args:
        data_root: Folder of the data set, with a truth of its test pictures.
        domains: Source and target.
        methods: :class:`Method` by title, in the order of the table.
        budgets: By name, ``{minutes: M}`` or ``{iterations: N}``.
        scores: Scores of the table.
        settings: Settings of all configs that differ, by dotted keys; a method's own come later.
        seeds: Seeds of the trainings.
        split: Pictures that are tested: ``test``, or ``val`` to choose a setting by.
        amp: Whether all train in mixed precision, which is bfloat16 on the CPU.

    Raises:
        ValueError: One of them is something else, or titles do not tell methods apart.
    """

    data_root: str
    domains: tuple[str, str]
    methods: dict[str, Method]
    budgets: dict[str, dict[str, float]]
    scores: tuple[str, ...]
    settings: dict = field(default_factory=dict)
    seeds: tuple[int, ...] = (2022, 2023, 2024)
    split: str = 'test'
    amp: bool = False

    def __post_init__(self) -> None:
        check_texts(self, data_root=self.data_root)
        check_many(self, domains=self.domains, scores=self.scores, seeds=self.seeds)
        check_choice(self, ('test', 'val'), split=self.split)
        check_flags(self, amp=self.amp)
        check_keys(self, self.settings or (), settings=self.settings)
        if len(self.domains) != 2:
            raise ValueError(f'domains must be source and target, got {self.domains}')
        for seed in self.seeds:
            check_ints(self, 0, seeds=seed)
        for name, budget in self.budgets.items():
            if not isinstance(budget, dict) or list(budget) not in (['minutes'], ['iterations']):
                raise ValueError(
                    f'budget {name!r} must be {{minutes: M}} or {{iterations: N}}, got {budget}'
                )
            check_numbers(f'budgets.{name}', above=0, **budget)
        titles: dict[str, str] = {}
        for title in self.methods:
            other = titles.setdefault(_folder(title), title)
            if other != title:
                raise ValueError(f'{title!r} and {other!r} would train in one folder: rename one')


@dataclass(frozen=True)
class WeightSearch:
    """How the weights of a file's structure losses are chosen: on held-out pictures, split ``val``.

    Args:
        weights: What is tried for ``model.structure_loss.loss_weight``, by titles of methods.
        budget: ``{minutes: M}`` or ``{iterations: N}`` of each training.
        scores: The weight of the largest mean of these is chosen; each is in [0, 1].
        seeds: Seeds of the trainings.
        settings: Further settings of all of them, by dotted keys.

    Raises:
        ValueError: One of them is something else.
    """

    weights: dict[str, tuple[float, ...]]
    budget: dict[str, float]
    scores: tuple[str, ...]
    seeds: tuple[int, ...] = (2022,)
    settings: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_keys(self, self.settings or (), settings=self.settings)
        for title, weights in _dictionary('weight_search.weights', self.weights).items():
            check_many('weight_search.weights', **{title: weights})
            for weight in weights:
                check_numbers('weight_search.weights', above=0, **{title: weight})

    def comparison(self, of: Comparison) -> Comparison:
        """A method with each weight, in place of a comparison's methods."""
        key = 'model.structure_loss'
        methods = {}
        for title, method in of.methods.items():
            for weight in self.weights.get(title, ()):
                settings = method.settings | self.settings
                if key in settings:
                    settings[key] = settings[key] | {'loss_weight': weight}
                else:
                    settings[f'{key}.loss_weight'] = weight
                methods[f'{title} of weight {weight:g}'] = replace(method, settings=settings)
        return replace(
            of,
            methods=methods,
            budgets={'weight search': self.budget},
            scores=self.scores,
            seeds=self.seeds,
            split='val',
        )


def read_comparison(file: Path, args: argparse.Namespace) -> Comparison:
    """The comparison of a file, or its search for weights, as far as the command line wants it.

    Raises:
        CommandError: If the file is missing, or holds what is not a comparison.
    """
    import mmengine
    from yaml import YAMLError

    if not file.is_file():
        raise command_line.CommandError(f"'{file}' does not exist")
    try:
        loaded = mmengine.load(file)
        if isinstance(loaded, dict) and '_base_' in loaded:  # another file, as MMEngine reads it
            loaded = mmengine.Config.fromfile(file).to_dict()
        content = _known('the file', Comparison, loaded, also=('weight_search',))
        methods = {
            str(title): _method(title, settings)
            for title, settings in _dictionary('methods', content.pop('methods')).items()
        }
        budgets = _dictionary('budgets', content['budgets'])
        search = content.pop('weight_search', None)
        if search is not None:
            search = WeightSearch(**_known('weight_search', WeightSearch, search))
            _chosen('weight_search.weights', methods, list(search.weights))
        elif args.search_weights:
            raise ValueError('it has no weight_search')
        content['methods'] = _chosen('--methods', methods, args.methods)
        content['budgets'] = _chosen('--budgets', budgets, args.budgets)
        content['seeds'] = args.seeds or content.get('seeds', Comparison.seeds)
        content['data_root'] = args.data_root or str(ROOT / str(content['data_root']))
        comparison = Comparison(**content)
        return search.comparison(comparison) if args.search_weights else comparison
    except (OSError, ValueError, YAMLError) as error:
        raise command_line.CommandError(f"'{file}': {in_one_line(error)}") from error


def _method(title: str, settings: Any) -> Method:
    known = _known(title, Method, settings)
    try:
        return Method(**known)
    except ValueError as error:
        raise ValueError(f'{title}: {error}') from error


def _dictionary(where: str, content: Any) -> dict:
    if not isinstance(content, dict) or not content:
        raise ValueError(f'{where} must be settings by their names, got {content!r}')
    return content


def _known(where: str, kind: type, content: Any, also: Sequence[str] = ()) -> dict:
    """A copy of settings of a kind; what it does not know, or lacks, is refused."""
    names = {
        entry.name: entry.default is entry.default_factory is MISSING for entry in fields(kind)
    }
    names.update(dict.fromkeys(also, False))
    unknown = [name for name in _dictionary(where, content) if name not in names]
    lacking = [name for name, is_needed in names.items() if is_needed and name not in content]
    if unknown or lacking:
        what = f'does not know {unknown[0]!r}' if unknown else f'lacks {lacking[0]!r}'
        raise ValueError(f'{where} {what}; it holds {", ".join(names)}')
    return dict(content)


def _chosen(what: str, known: dict, names: Sequence[str] | None) -> dict:
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise ValueError(
            f'{what}: the file has no {unknown[0]!r}, it has {", ".join(map(repr, known))}'
        )
    return {name: known[name] for name in names or known}


def _folder(title: str) -> str:
    return '-'.join(''.join(c if c.isalnum() else ' ' for c in title.lower()).split())


def make_training(
    comparison: Comparison, folder: Path, title: str, iterations: int, seed: int
) -> Training:
    """A training of a method."""
    method = comparison.methods[title]
    settings = comparison.settings | method.settings
    if comparison.split != 'test':
        settings['test_dataloader.dataset.split'] = comparison.split
    work_dir = str(folder / f'{_folder(title)}_{iterations}iters_seed{seed}')
    places = work_dir, comparison.data_root
    return Training(title, method.config, *places, iterations, seed, settings, amp=comparison.amp)


def check_methods(file: Path, comparison: Comparison) -> None:
    """Look at all configs and their data as a training does before it begins.

    Raises:
        CommandError: A config, a setting, a domain or the data set cannot be used.
    """
    from sesim_mmagic.apis.launch import check_data
    from sesim_mmagic.apis.settings import check_components

    for title in comparison.methods:
        try:
            config = load_config(make_training(comparison, file.parent, title, 2, seed=1))
            check_components(config)
            model = config.model
            domains = {model.get('source_domain'), model.get('target_domain')}
            if not set(comparison.domains) <= {*domains, *model.get('related_domains', ())}:
                raise ValueError(f'its model has no domains {list(comparison.domains)}')
            config.work_dir = None  # nothing is written before all is checked
            check_data(config)
        except (OSError, ValueError) as error:
            raise command_line.CommandError(f"'{file}': {title}: {error}") from error
