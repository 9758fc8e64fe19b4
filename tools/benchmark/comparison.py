"""What is compared: methods, budgets and seeds, and the search for weights of structure losses."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from trainings import Training, load_config

from sesim_mmagic.apis import command_line
from sesim_mmagic.utils.checks import (
    check_choice,
    check_flags,
    check_ints,
    check_many,
    check_numbers,
    check_texts,
)

#: Where a method has its structure loss.
_LOSS = 'model.structure_loss'

#: Between title and weight in the titles of a search.
OF_WEIGHT = ' of weight '


_SET_BY_COMPARISONS = {
    'data_root', 'max_iters', 'work_dir', 'resume', 'randomness.seed', 'train_cfg.max_iters',
    'train_cfg.val_interval',
}  # fmt: skip


@dataclass(frozen=True)
class Method:
    """What is trained.

    Args:
        config: Path of its config, from the root of the repository.
        settings: Settings of the config that differ, by dotted keys. Schedules are in iterations
            of the config, and are scaled to those of a budget as its own.
        step_ms: Time of a step that has a core and its caches for itself, in milliseconds.
        weights: What a search tries for the weight of its structure loss; none unless given.

    Raises:
        ValueError: One of them is something else.
    """

    config: str
    settings: dict = field(default_factory=dict)
    step_ms: float | None = None
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_texts(self, config=self.config)
        check_settings(self.settings)
        check_numbers(self, above=0, also=(None,), step_ms=self.step_ms)
        if self.weights != ():
            check_many(self, weights=self.weights)
        for weight in self.weights:
            check_numbers(self, above=0, weights=weight)
        if len({f'{weight:g}' for weight in self.weights}) < len(self.weights):
            raise ValueError(f'{list(self.weights)} has a weight twice')

    def weighted(self, weight: float, settings: Mapping) -> 'Method':
        """With another weight of the structure loss, and with further settings.

        Raises:
            ValueError: If the settings say that there is no structure loss.
        """
        merged = settings_over(self.settings, settings)
        merged.pop(f'{_LOSS}.loss_weight', None)  # it would be set after a whole loss
        loss = merged.get(_LOSS, {})
        if not isinstance(loss, dict):
            raise ValueError(f'a weight is searched, but {_LOSS} is {loss!r}')
        if loss:
            merged[_LOSS] = {**loss, 'loss_weight': weight}
        else:
            merged[f'{_LOSS}.loss_weight'] = weight
        return replace(self, settings=merged)


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
        check_settings(self.settings)
        if len(self.domains) != 2:
            raise ValueError(f'domains must be source and target, got {self.domains}')
        for seed in self.seeds:
            check_ints(self, 0, seeds=seed)
        for name, budget in self.budgets.items():
            _check_budget(name, budget)
        titles: dict[str, str] = {}
        for title in self.methods:
            other = titles.setdefault(_folder(title), title)
            if other != title:
                raise ValueError(f'{title!r} and {other!r} would train in one folder: rename one')


@dataclass(frozen=True)
class WeightSearch:
    """How weights of structure losses are chosen: on held-out pictures, split ``val``.

    Args:
        budget: ``{minutes: M}`` or ``{iterations: N}`` of each training.
        scores: The weight of the largest mean of these is to be taken; each is in [0, 1].
        seeds: Seeds of the trainings.
        settings: Further settings of all of them, by dotted keys.

    Raises:
        ValueError: One of them is something else.
    """

    budget: dict[str, float]
    scores: tuple[str, ...]
    seeds: tuple[int, ...] = (2022,)
    settings: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_budget('weight search', self.budget)
        check_many(self, scores=self.scores, seeds=self.seeds)
        check_settings(self.settings)

    def comparison(self, of: Comparison) -> Comparison:
        """A method with each of its weights, in place of a comparison's methods.

        Raises:
            ValueError: If no method has weights to search.
        """
        methods = {
            f'{title}{OF_WEIGHT}{weight:g}': method.weighted(weight, self.settings)
            for title, method in of.methods.items()
            for weight in method.weights
        }
        if not methods:
            raise ValueError(f'no weights to search: {", ".join(of.methods)} have none')
        budgets = {'weight search': self.budget}
        changes = dict(methods=methods, budgets=budgets, scores=self.scores, seeds=self.seeds)
        return replace(of, split='val', **changes)


def settings_over(base: Mapping, own: Mapping) -> dict:
    """Own settings after those of a base that they leave: parts are set after their whole."""
    return {**{key: value for key, value in base.items() if key not in own}, **own}


def check_settings(settings: object, what: str = 'settings') -> None:
    """Refuse settings that are no dictionary, or those that a comparison sets itself.

    Raises:
        ValueError: They are.
    """
    if not isinstance(settings, dict):
        raise ValueError(f'{what} must be values by dotted keys, got {settings!r}')
    if taken := sorted(_SET_BY_COMPARISONS & settings.keys()):
        raise ValueError(f'{what}: a comparison sets {", ".join(taken)} itself (budgets, seeds)')


def _check_budget(name: str, budget: object) -> None:
    if not isinstance(budget, dict) or list(budget) not in (['minutes'], ['iterations']):
        raise ValueError(
            f'budget {name!r} must be {{minutes: M}} or {{iterations: N}}, got {budget}'
        )
    check_numbers(f'budgets.{name}', above=0, **budget)


def _folder(title: str) -> str:
    return '-'.join(''.join(c if c.isalnum() else ' ' for c in title.lower()).split())


def make_training(
    comparison: Comparison, folder: Path, title: str, iterations: int, seed: int
) -> Training:
    """A training of a method."""
    method = comparison.methods[title]
    settings = settings_over(comparison.settings, method.settings)
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
