"""Compare structure losses and their baselines at equal steps and at equal time, over seeds.

    python tools/benchmark/structure.py DATASET [DATASET ...] [--methods ...]
        [--seeds 2022 2023 2024] [--iterations N] [--lr-scale 1] [--steps-only]
        [--jobs 2] [--out work_dirs/structure]

DATASET is ``mismatch`` or ``matched`` (the synthetic shapes, made on the spot) or ``kaokore``
(``data/kaokore_sketch``); for multi-modal translators ``modes`` (the synthetic shapes with several
looks of the target), ``kaokore-styles`` or ``handbags`` (``data/edges2handbags_demo``).
Every method trains for N iterations with every seed; then every method once more, for as many
iterations as fit into the time of FSeSim, or of MUNIT, by the median step of these trainings.
Every learning rate decays over its own run; ``--lr-scale 2`` doubles all of them, for short runs.
Scores are of the last iteration, on the test pictures. What has ended is not run again, what was
interrupted goes on. At the end: a table, results as JSON and a grid of pictures (the first seed, at
equal time unless ``--steps-only`` left it out).
"""

import argparse
import json
from pathlib import Path
from statistics import mean, median

from comparisons import DATASETS, METHODS, make_data, make_run
from grid import write_grid
from runs import execute_all

from sesim_mmagic.apis import command_line


def parse_args():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('datasets', nargs='+', choices=DATASETS)
    parser.add_argument('--methods', nargs='+', choices=METHODS, help="the datasets' unless given")
    parser.add_argument('--seeds', nargs='+', type=int, default=[2022, 2023, 2024])
    parser.add_argument('--iterations', type=int, help="of every method; the config's unless given")
    parser.add_argument('--lr-scale', type=float, default=1.0, help='factor on all learning rates')
    parser.add_argument('--steps-only', action='store_true', help='leave equal time out')
    parser.add_argument('--jobs', type=int, default=2, help='trainings at a time, one core each')
    parser.add_argument('--data-root', help='folder of the data set, if it lies elsewhere')
    parser.add_argument('--out', default='work_dirs/structure', help='folder for everything')
    args = parser.parse_args()
    if args.jobs < 1 or args.lr_scale <= 0 or (args.iterations or 2) < 2:
        parser.error('--jobs and --lr-scale must be positive and --iterations 2 or more')
    if len({DATASETS[dataset].scores for dataset in args.datasets}) > 1:
        parser.error('these datasets have different scores: compare them one after the other')
    for dataset in args.datasets:
        if args.methods and DATASETS[dataset].reference not in args.methods:
            parser.error(
                f'--methods must hold {DATASETS[dataset].reference}: the others get its time'
            )
    return args


def equal_steps(args, dataset, folder, data):
    """Runs of every method and seed for the same number of iterations."""
    iterations = args.iterations or DATASETS[dataset].iterations
    return {
        (method, seed): make_run(dataset, method, seed, iterations, args.lr_scale, folder, data)
        for seed in args.seeds
        for method in args.methods or DATASETS[dataset].methods
    }


def equal_time(args, runs, dataset, folder, data):
    """Runs of the same methods and seeds, for the time of the reference."""
    seconds = {}
    for (method, _), run in runs.items():
        seconds.setdefault(method, []).append(run.result()['step_seconds'])
    seconds = {method: median(values) for method, values in seconds.items()}

    reference = seconds[DATASETS[dataset].reference]

    def fitting(method, run):
        return max(2, round(run.iterations * reference / seconds[method]))

    return {
        (method, seed): make_run(
            dataset, method, seed, fitting(method, run), args.lr_scale, folder, data
        )
        for (method, seed), run in runs.items()
    }


def spread(values, digits=3):
    """Mean of values with the smallest and the largest."""
    shown = [f'{value:.{digits}f}'.lstrip('0') or '0' for value in (min(values), max(values))]
    return f'{mean(values):.{digits}f}'.lstrip('0') + f' ({shown[0]} to {shown[1]})'


def row(dataset, budget, method, results):
    """One line of the table: a method at a budget, over seeds."""
    return [
        dataset,
        budget,
        METHODS[method][0],
        str(results[0]['run']['iterations']),
        f'{1 / median(result["step_seconds"] for result in results):.2f}',
        f'{median(result["peak_mb"] for result in results):.0f}',
        *(spread([r['scores'][score] for r in results]) for score in DATASETS[dataset].scores),
    ]


def make_table(budgets, datasets):
    """Lines of a Markdown table."""
    header = ['dataset', 'budget', 'method', 'iterations', 'steps/s', 'peak MB']
    header += DATASETS[datasets[0]].scores
    lines = [header, ['---'] * len(header)]
    for (dataset, budget), runs in budgets.items():
        for method in dict.fromkeys(method for method, _ in runs):
            results = [run.result() for (name, _), run in runs.items() if name == method]
            lines.append(row(dataset, budget, method, results))
    return ['| ' + ' | '.join(line) + ' |' for line in lines]


def report(out, args, budgets):
    """Write and print the table, write the results and the pictures."""
    from sesim_mmagic.utils.files import write_atomically

    table = make_table(budgets, args.datasets)
    results = [
        dict(dataset=dataset, budget=budget, method=method, **run.result())
        for (dataset, budget), runs in budgets.items()
        for (method, _), run in runs.items()
    ]
    name = '_'.join(args.datasets)
    _, budget = list(budgets)[-1]
    write_atomically(out / f'{name}_table.md', '\n'.join(table) + '\n')
    write_atomically(out / f'{name}_results.json', json.dumps(results, indent=2) + '\n')
    shown = {
        dataset: {
            METHODS[method][0]: run.work_dir
            for (method, seed), run in budgets[dataset, budget].items()
            if seed == args.seeds[0]
        }
        for dataset in args.datasets
    }
    write_grid(out / f'{name}_grid.png', shown, {w: DATASETS[w].domains for w in args.datasets})
    print('\n'.join(['', *table, '', f'Pictures: {out / name}_grid.png']))


@command_line.command('the same command goes on from here')
def main():
    """Run what is missing and show all of it."""
    args = parse_args()
    out = Path(args.out)
    budgets = {}
    folders = {dataset: out / dataset for dataset in args.datasets}
    data = {w: Path(args.data_root or make_data(w, folders[w])) for w in args.datasets}
    for dataset in args.datasets:
        budgets[dataset, 'equal steps'] = equal_steps(
            args, dataset, folders[dataset], data[dataset]
        )
    execute_all([run for runs in budgets.values() for run in runs.values()], args.jobs)
    for dataset in [] if args.steps_only else args.datasets:
        runs = budgets[dataset, 'equal steps']
        budgets[dataset, 'equal time'] = equal_time(
            args, runs, dataset, folders[dataset], data[dataset]
        )
    execute_all([run for runs in budgets.values() for run in runs.values()], args.jobs)
    report(out, args, budgets)


if __name__ == '__main__':
    main()
