"""Compare methods over seeds, each for the same time or the same number of steps.

    python tools/benchmark/compare.py FILE [FILE ...] [--budgets ...] [--methods ...] [--seeds ...]
        [--data-root FOLDER] [--jobs 2] [--out work_dirs/compare] [--judge WEIGHTS]
        [--report | --time] [--search-weights]

A file, such as ``tools/benchmark/comparisons/features_kaokore.yaml``, describes a comparison: see
``Comparison`` in ``comparison.py``. Each method trains with each seed, on one core, for the
iterations of each budget; its last iteration is tested. What has ended is not run again, what was
interrupted goes on from its last checkpoint. At the end of each comparison: a table, all results
as JSON and a grid of pictures of the first seed. ``--report`` trains nothing, and says what is
missing. Before the first training, two iterations and a test rehearse it.

``--search-weights`` tries the ``weights`` of each method on held-out pictures in place of all that,
as the file's ``weight_search`` says (``WeightSearch`` in ``comparison.py``), and which to take.

``--judge`` adds scores of the translations as a set beside the truths: KID x 1000 in features of a
VGG16 that no training here uses (``tools/model_converters/vgg16_from_hed.py``), sliced Wasserstein
distance of patches, spread of the pictures' mean colours (docs/guide/evaluation.md).

Equal time is counted, not taken: the iterations that a method's ``step_ms`` allows, so that a busy
machine changes no result. ``--time`` measures ``step_ms`` of all methods, which take turns: the
median of steps on one thread, with loading, in processes that do nothing else. All of a file's are
in memory at once, about 1 GB each; ``--methods`` takes fewer.
"""

import argparse
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean, median

from comparison import OF_WEIGHT, Comparison, Method, check_methods, make_training
from comparison_files import read_comparison
from measuring import table, write_json
from trainings import Training, load_config, train_all, translated_scenes, write_grid

from sesim_mmagic.apis import command_line

#: Measured steps of each method, after one that is not.
TIMED = 12

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
    parser.add_argument('--search-weights', action='store_true', help='on held-out pictures')
    only = parser.add_mutually_exclusive_group()
    only.add_argument('--report', action='store_true', help='of what has ended; train nothing')
    only.add_argument('--time', action='store_true', help='measure step_ms; train nothing')
    return parser.parse_args()


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


def shown_scores(comparison: Comparison, training: Training) -> dict[str, float]:
    """Scores of the table, of a training that has ended.

    Raises:
        CommandError: The test of the training has no score of a name.
    """
    results = training.results()
    assert results is not None
    scores = results['scores']
    for name in comparison.scores:
        if name not in scores:
            raise command_line.CommandError(
                f'scores: the test of {training.title} has no {name!r}, it has '
                f'{", ".join(sorted(scores))}'
            )
    return {name: scores[name] for name in comparison.scores}


def check_choice_by(title: str, scores: dict[str, float]) -> None:
    """Refuse scores by which no weight can be chosen, since their mean would say nothing.

    Raises:
        CommandError: A score is not in [0, 1], or less of it is better.
    """
    from sesim_mmagic.engine.hooks.best_score import LESS_IS_BETTER

    for name, score in scores.items():
        if not 0 <= score <= 1 or any(word in name for word in LESS_IS_BETTER):
            raise command_line.CommandError(
                f'weight_search.scores: {name} is {score:.4g} for {title}; name scores in '
                '[0, 1], of which more is better'
            )


def rehearse(
    comparison: Comparison, folder: Path, trainings: Trainings, choose: bool = False
) -> None:
    """Before hours of work: the scores of the table are among those of a test.

    Only a test knows their names. Unless one has ended, the first method trains for two iterations.
    With ``choose`` a weight has to be chosen by them.
    """

    def check(training: Training) -> None:
        scores = shown_scores(comparison, training)
        if choose:
            check_choice_by(training.title, scores)

    ended = [training for training in trainings.values() if training.results()]
    if ended:
        check(ended[0])
        return
    place = folder / f'rehearsal_{os.getpid()}'
    rehearsal = make_training(comparison, place, next(iter(comparison.methods)), 2, seed=1)
    print('Rehearsal: two iterations of the first method, and its test')
    train_all([rehearsal], jobs=1)
    try:
        check(rehearsal)
    finally:
        shutil.rmtree(place)


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
                shown_scores(comparison, training)
                | (judged(training, judge, comparison.domains[1]) if judge else {})
                for training, _ in ended
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


def print_choice(comparison: Comparison, trainings: Trainings) -> None:
    """Print the weight to take of each method: that of the largest mean of all scores.

    Raises:
        CommandError: No weight can be chosen by a score.
    """
    found: dict[str, list[float]] = {title: [] for title in comparison.methods}
    missing = set()
    for (_, title, _), training in trainings.items():
        if not training.results():
            missing.add(title.rpartition(OF_WEIGHT)[0])
            continue
        scores = shown_scores(comparison, training)
        check_choice_by(title, scores)
        found[title].append(mean(scores.values()))
    means: dict[str, dict[str, float]] = {}
    for title, values in found.items():
        method, _, weight = title.rpartition(OF_WEIGHT)
        if method not in missing:
            means.setdefault(method, {})[weight] = mean(values)
    for method, by_weight in means.items():
        tried = ', '.join(f'{weight}: {value:.3f}' for weight, value in by_weight.items())
        best = max(by_weight, key=by_weight.__getitem__)
        print(f'{method}: weight {best} (mean of scores {tried})')
    for method in sorted(missing):
        print(f'{method}: no choice yet, trainings are missing')


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
        | ({'judged': judged(training, judge, comparison.domains[1])} if judge else {})
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
            write_grid(grid, titles[: len(rows[0][1])], rows)
            print(f'Pictures: {grid}')


def time_steps(comparison: Comparison, folder: Path) -> None:
    """Print the time of a step of each method; nothing is written."""
    from ours import TrainingStep
    from steps import measure

    precision = 'amp' if comparison.amp else 'fp32'
    settings = dict(device='cpu', precision=precision, channels_last=False, compile=False)
    settings.update(threads=1, warmup=1, repeats=TIMED)  # all else is the config's
    trainings = [make_training(comparison, folder, title, TIMED, 1) for title in comparison.methods]
    specs = [dict(settings, cfg=load_config(training)) for training in trainings]
    methods = [(t.title, TrainingStep, spec) for t, spec in zip(trainings, specs, strict=True)]
    for row in measure(methods, count=False):
        print(f'{row["step"]}: step_ms: {median(row["ms"]):.1f}')


@command_line.command('the same command goes on from here')
def main() -> None:
    """Run what is missing and show all of it."""
    args = parse_args()
    if args.judge and not args.judge.is_file():
        raise command_line.CommandError(f"--judge: '{args.judge}' does not exist")
    if args.search_weights and (args.judge or args.time):
        raise command_line.CommandError('--search-weights goes with neither --judge nor --time')
    comparisons = {file: read_comparison(file, args) for file in args.files}
    suffix = '_weights' if args.search_weights else ''
    folders = {file: Path(args.out, file.stem + suffix) for file in comparisons}
    if len(set(folders.values())) < len(folders):
        raise command_line.CommandError(f'two of {", ".join(map(str, folders))} have one name')
    trainings = {f: trainings_of(c, folders[f]) for f, c in comparisons.items() if not args.time}
    if not args.report:
        for file, comparison in comparisons.items():
            check_methods(file, comparison)
    for file, comparison in comparisons.items():
        if args.time:
            time_steps(comparison, folders[file])
            continue
        if not args.report:
            rehearse(comparison, folders[file], trainings[file], args.search_weights)
            own = {training.work_dir: training for training in trainings[file].values()}
            train_all(list(own.values()), args.jobs)
        report(comparison, trainings[file], folders[file], args.judge)
        if args.search_weights:
            print_choice(comparison, trainings[file])


if __name__ == '__main__':
    main()
