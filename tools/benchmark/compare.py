"""Compare methods over seeds, each for the same time or the same number of steps.

    python tools/benchmark/compare.py FILE [FILE ...] [--budgets ...] [--methods ...] [--seeds ...]
        [--data-root FOLDER] [--jobs 2] [--out work_dirs/compare] [--judge WEIGHTS]
        [--report | --time]

A file, such as ``tools/benchmark/comparisons/features_kaokore.yaml``, describes a comparison: see
:class:`Comparison`. Each method trains with each seed, on one core, for the iterations of each
budget; its last iteration is tested. What has ended is not run again, what was interrupted goes
on from its last checkpoint. At the end of each comparison: a table, all results as JSON and a grid
of pictures of the first seed. ``--report`` trains nothing, and says what is missing.

``--judge`` adds scores of the translations as a set beside the truths: KID x 1000 in features of a
VGG16 that no training here uses (``tools/model_converters/vgg16_from_hed.py``), sliced Wasserstein
distance of patches, spread of the pictures' mean colours (docs/guide/evaluation.md).

Equal time is counted, not taken: the iterations that a method's ``step_ms`` allows, so that a busy
machine changes no result. ``--time`` measures ``step_ms`` of all methods, one alone at a time.
"""

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from statistics import mean, median
from typing import Any

from measuring import table, write_json
from trainings import ROOT, Training, train_all, translated_scenes, write_grid

from sesim_mmagic.apis import command_line

#: Iterations that measure a step: in their median the first ones do not weigh.
TIMED = 40


@dataclass(frozen=True)
class Method:
    """What is trained.

    Args:
        config: Path of its config, from the root of the repository.
        settings: Settings of the config that differ, by dotted keys.
        step_ms: Time of a step that has a core and its caches for itself, in milliseconds.
    """

    config: str
    settings: dict = field(default_factory=dict)
    step_ms: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Contents of a file.

    Args:
        data_root: Folder of the data set, with a truth of its test pictures.
        domains: Source and target.
        methods: :class:`Method` by title, in the order of the table.
        budgets: By name, ``{minutes: M}`` or ``{iterations: N}``.
        scores: Scores of the table.
        seeds: Seeds of the trainings.
        split: Pictures that are tested: ``test``, or ``val`` to choose a setting by.
    """

    data_root: str
    domains: tuple[str, str]
    methods: dict[str, Method]
    budgets: dict[str, dict[str, float]]
    scores: tuple[str, ...]
    seeds: tuple[int, ...] = (2022, 2023, 2024)
    split: str = 'test'


#: Columns that a judge adds.
JUDGED = 'judge KID', 'SWD', 'colours', 'colours of truth'

#: Trainings by budget, title and seed.
Trainings = dict[tuple[str, str, int], Training]


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('files', nargs='+', type=Path, help='descriptions of comparisons')
    parser.add_argument('--budgets', nargs='+', help="the files' unless given")
    parser.add_argument('--methods', nargs='+', help="the files' unless given")
    parser.add_argument('--seeds', nargs='+', type=int, help="the files' unless given")
    parser.add_argument('--data-root', help='folder of the data set, if it lies elsewhere')
    number = command_line.whole_number(1)
    parser.add_argument('--jobs', type=number, default=2, help='trainings at a time')
    parser.add_argument('--out', default='work_dirs/compare', help='folder for everything')
    parser.add_argument('--judge', type=Path, help='weights of a VGG16 that no training uses')
    only = parser.add_mutually_exclusive_group()
    only.add_argument('--report', action='store_true', help='of what has ended; train nothing')
    only.add_argument('--time', action='store_true', help='measure the time of a step alone')
    return parser.parse_args()


def read_comparison(file: Path, args: argparse.Namespace) -> Comparison:
    """The comparison of a file, as far as the command line wants it.

    Raises:
        CommandError: If the file is missing, or holds what is not a comparison.
    """
    import mmengine

    if not file.is_file():
        raise command_line.CommandError(f"'{file}' does not exist")
    content = _known(f"'{file}'", Comparison, mmengine.load(file))
    methods = {
        title: Method(**_known(f"'{file}': {title}", Method, settings))
        for title, settings in content.pop('methods').items()
    }
    content['methods'] = _chosen(file, 'methods', methods, args.methods)
    for name, budget in content['budgets'].items():
        if list(budget) not in (['minutes'], ['iterations']):
            raise command_line.CommandError(
                f"'{file}': budget {name!r} must be {{minutes: M}} or {{iterations: N}}, got "
                f'{budget}'
            )
    content['budgets'] = _chosen(file, 'budgets', content['budgets'], args.budgets)
    content['seeds'] = args.seeds or content.get('seeds', Comparison.seeds)
    content['data_root'] = args.data_root or str(ROOT / content['data_root'])
    return Comparison(**content)


def _known(where: str, kind: type, content: Any) -> dict:
    """A copy of settings of a kind; what it does not know, or lacks, is refused."""
    names = {
        entry.name: entry.default is entry.default_factory is MISSING for entry in fields(kind)
    }
    unknown = [name for name in content if name not in names]
    lacking = [name for name, is_needed in names.items() if is_needed and name not in content]
    if unknown or lacking:
        what = f'does not know {unknown[0]!r}' if unknown else f'lacks {lacking[0]!r}'
        raise command_line.CommandError(f'{where} {what}; it holds {", ".join(names)}')
    return dict(content)


def _chosen(file: Path, what: str, known: dict, names: Sequence[str] | None) -> dict:
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise command_line.CommandError(
            f"--{what}: '{file}' has no {unknown[0]!r}, it has {', '.join(map(repr, known))}"
        )
    return {name: known[name] for name in names or known}


def iterations_of(title: str, method: Method, budget: dict[str, float]) -> int:
    """Iterations of a method in a budget, 2 or more.

    Raises:
        CommandError: If the budget is a time and the method's step has none.
    """
    if 'iterations' in budget:
        return max(2, int(budget['iterations']))
    if method.step_ms is None:
        raise command_line.CommandError(
            f'{title} has no step_ms, and a budget is in minutes: measure it by --time'
        )
    return max(2, round(budget['minutes'] * 60_000 / method.step_ms))


def make_training(
    comparison: Comparison, folder: Path, title: str, iterations: int, seed: int
) -> Training:
    """A training of a method."""
    method = comparison.methods[title]
    settings = dict(method.settings)
    if comparison.split != 'test':
        settings['test_dataloader.dataset.split'] = comparison.split
    name = '-'.join(''.join(c if c.isalnum() else ' ' for c in title.lower()).split())
    work_dir = str(folder / f'{name}_{iterations}iters_seed{seed}')
    data_root = comparison.data_root
    return Training(title, method.config, work_dir, data_root, iterations, seed, settings)


def trainings_of(comparison: Comparison, folder: Path) -> Trainings:
    """Trainings of every budget, method and seed."""
    return {
        (name, title, seed): make_training(
            comparison, folder, title, iterations_of(title, method, budget), seed
        )
        for name, budget in comparison.budgets.items()
        for title, method in comparison.methods.items()
        for seed in comparison.seeds
    }


def judged(training: Training, judge: Path, target: str) -> dict[str, float]:
    """Scores of a training's translations as a set; noted in its folder, by the judge's digest."""
    from sesim_mmagic.apis import evaluate_folder
    from sesim_mmagic.utils.downloads import sha256_of

    digest = sha256_of(judge)[:8]
    test = Path(training.work_dir, 'test')
    noted = Path(training.work_dir, f'judged_{judge.stem}-{digest}.json')
    if not noted.exists():
        folders = test / 'translations' / target, test / 'truths' / target
        scores = dict(scores=('kid', 'appearance'), set_features=str(judge))
        write_json(noted, evaluate_folder(folders[0], real=folders[1], **scores))
    scores = {key.rpartition('/')[2]: value for key, value in json.loads(noted.read_text()).items()}
    values = 1000 * scores[f'kid_vgg16_{judge.stem}'], scores['swd'], scores['colour_spread']
    return dict(zip(JUDGED, (*values, scores['colour_spread_real']), strict=True))


def spread(values: Sequence[float]) -> str:
    """Mean of values with the smallest and the largest."""
    numbers = [mean(values), min(values), max(values)]
    digits = 3 if max(map(abs, numbers)) < 2 else 1
    middle, low, high = (re.sub(r'^(-?)0\.', r'\1.', f'{value:.{digits}f}') for value in numbers)
    return middle if len(values) == 1 else f'{middle} ({low} to {high})'


def make_rows(comparison: Comparison, trainings: Trainings, judge: Path | None) -> Iterator[dict]:
    """Lines of the table: one for each budget and method, over seeds."""
    columns = [*comparison.scores, *(JUDGED if judge else ())]
    for budget in comparison.budgets:
        for title, method in comparison.methods.items():
            own = [t for key, t in trainings.items() if key[:2] == (budget, title)]
            ended = [(training, r) for training in own if (r := training.results())]
            results = [r for _, r in ended]
            scores = [
                {name: r['scores'][name] for name in comparison.scores}
                | (judged(training, judge, comparison.domains[1]) if judge else {})
                for training, r in ended
            ]
            yield {
                'budget': budget,
                'method': title,
                'iterations': own[0].iterations,
                'ms a step': method.step_ms or '-',
                'seeds': f'{len(results)} of {len(own)}',
                'peak MB': median(r['peak_mb'] for r in results) if results else '-',
                **{name: spread([s[name] for s in scores]) if scores else '-' for name in columns},
            }


def report(comparison: Comparison, trainings: Trainings, name: Path, judge: Path | None) -> None:
    """Write and print the table, write the results and the pictures."""
    from sesim_mmagic.utils.files import write_atomically

    lines = table(list(make_rows(comparison, trainings, judge)))
    print(f'\n{name.name}\n\n{lines}\n')
    ended = {key: training for key, training in trainings.items() if training.results()}
    if not ended:
        return
    write_atomically(f'{name}_table.md', lines + '\n')
    results = [
        dict(budget=budget, method=title, **training.results())
        for (budget, title, _), training in ended.items()
    ]
    write_json(f'{name}_results.json', results)
    for budget in comparison.budgets:
        shown = [t for (b, _, s), t in ended.items() if (b, s) == (budget, comparison.seeds[0])]
        if shown:
            scenes = list(translated_scenes(shown, *comparison.domains))
            rows = [(scene, paths) for scene, paths in scenes[:: max(1, len(scenes) // 8)][:8]]
            titles = ['source', *(training.title for training in shown), 'truth']
            grid = f'{name}_{budget.replace(" ", "-")}.png'
            write_grid(grid, titles, rows)
            print(f'Pictures: {grid}')


def time_steps(comparison: Comparison, folder: Path) -> None:
    """Train each method for a moment, alone, and print the times of its steps."""
    trainings = [make_training(comparison, folder, title, TIMED, 1) for title in comparison.methods]
    train_all(trainings, jobs=1)
    for training in trainings:
        print(f'{training.title}: step_ms: {1000 * training.results()["step_seconds"]:.1f}')


@command_line.command('the same command goes on from here')
def main() -> None:
    """Run what is missing and show all of it."""
    args = parse_args()
    if args.judge and not args.judge.is_file():
        raise command_line.CommandError(f"--judge: '{args.judge}' does not exist")
    comparisons = {file: read_comparison(file, args) for file in args.files}
    for file, comparison in comparisons.items():
        folder = Path(args.out, file.stem)
        if args.time:
            time_steps(comparison, folder / 'timing')
            continue
        trainings = trainings_of(comparison, folder)
        if not args.report:
            train_all(list({t.work_dir: t for t in trainings.values()}.values()), args.jobs)
        report(comparison, trainings, Path(args.out, file.stem), args.judge)


if __name__ == '__main__':
    main()
