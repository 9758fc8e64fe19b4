"""Compare structure losses at equal steps and at equal wall clock, over several seeds.

    python tools/benchmark/structure.py WORLD [--methods fsesim lsesim] [--seeds 2022 2023]
        [--iterations N] [--jobs 2] [--out work_dirs/structure/WORLD]

WORLD is ``mismatch`` or ``matched`` (the procedural world, made on the spot) or ``kaokore``
(``data/kaokore_sketch``). Every method trains for N iterations, those of one seed side by side;
then every method but the first once more, for as many iterations as fit into the first one's time
by the steps of these trainings. Every learning rate decays over its own run. What has ended is not
run again, what was interrupted goes on. At the end: a table, ``results.json`` and ``grid.png``.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from runs import Run, execute_all

ROOT = Path(__file__).resolve().parents[2]
METHODS = {'fsesim': 'FSeSim', 'lsesim': 'LSeSim', 'none': 'no structure loss'}


@dataclass(frozen=True)
class World:
    """A data set with a truth, and the config that a method trains on it.

    Args:
        config: Name of the config, without the method before it.
        iterations: Iterations of the config.
        domains: Source and target.
        scores: Scores of the table.
    """

    config: str
    iterations: int
    domains: tuple[str, str]
    scores: tuple[str, ...]


PROCEDURAL = World(
    'sesim_resnet-w24_1xb4_procedural64.py',
    500,
    ('textured', 'flat'),
    ('foreground_iou', 'miou', 'miou_permuted', 'boundary_f1', 'psnr', 'ssim', 'style'),
)
KAOKORE = World(
    'sesim_resnet-w32_1xb1-4kiters_kaokore128.py',
    4000,
    ('sketch', 'painting'),
    ('psnr', 'ssim', 'boundary_f1'),
)
WORLDS = dict(mismatch=PROCEDURAL, matched=PROCEDURAL, kaokore=KAOKORE)


def parse_args():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('world', choices=WORLDS)
    parser.add_argument('--methods', nargs='+', choices=METHODS, default=['fsesim', 'lsesim'])
    parser.add_argument('--seeds', nargs='+', type=int, default=[2022, 2023])
    parser.add_argument('--iterations', type=int, help="of every method; the config's unless given")
    parser.add_argument('--jobs', type=int, default=2, help='trainings at a time, one core each')
    parser.add_argument('--data-root', help='folder of the data set, if it lies elsewhere')
    parser.add_argument('--out', help='folder for everything')
    args = parser.parse_args()
    if args.jobs < 1 or (args.iterations or 2) < 2:
        parser.error('--jobs must be positive and --iterations 2 or more')
    return args


def config_of(world, method):
    """Path of a method's config and what has to change in it."""
    folder, letter = ('lsesim', 'l') if method == 'lsesim' else ('fsesim', 'f')
    settings = {'model.structure_loss': None} if method == 'none' else {}
    return ROOT / 'configs' / folder / (letter + world.config), settings


def make_data(name, out, data_root):
    """Folder of the data set, written if it is the procedural world."""
    if data_root or name == 'kaokore':
        return Path(data_root or 'data/kaokore_sketch')
    from sesim_mmagic.datasets.procedural_world import write_world

    return write_world(out / 'world', layout=name, num_train=2000)


def make_runs(args, out, data_root, iterations_of):
    """Runs of every seed and method for which ``iterations_of`` gives a number."""
    world, runs = WORLDS[args.world], {}
    for seed in args.seeds:
        for method in args.methods:
            iterations = iterations_of(method, seed)
            if iterations is None:
                continue
            config, settings = config_of(world, method)
            for loader in ('train', 'val', 'test'):
                settings[f'{loader}_dataloader.dataset.data_root'] = str(data_root)
            runs[method, seed] = Run(
                METHODS[method],
                str(config.relative_to(ROOT)),
                str(out / f'{method}_seed{seed}_{iterations}iters'),
                iterations,
                seed,
                settings,
            )
    return runs


def spread(values, digits=3):
    """Mean of values with the smallest and the largest."""
    low, high = min(values), max(values)
    return f'{mean(values):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})'


def row(budget, method, results, scores):
    """One line of the table: a method at a budget, over seeds."""
    steps = sorted({result['run']['iterations'] for result in results})
    return [
        budget,
        METHODS[method],
        ' / '.join(map(str, steps)),
        spread([1000 * result['step_seconds'] for result in results], 0),
        spread([result['peak_mb'] for result in results], 0),
        *(spread([result['scores'][score] for result in results]) for score in scores),
    ]


def make_table(args, budgets):
    """Header and lines, both of words."""
    scores = WORLDS[args.world].scores
    lines = [
        row(budget, method, [runs[method, seed].result() for seed in args.seeds], scores)
        for budget, runs in budgets.items()
        for method in args.methods
        if (method, args.seeds[0]) in runs
    ]
    return ['budget', 'method', 'iterations', 'ms a step', 'peak MB', *scores], lines


def write_grid(path, world, runs, count=8):
    """Picture of a few test scenes: input, translation of every run, truth."""
    import cv2
    import numpy as np

    from sesim_mmagic.engine.pictures import write_picture

    source, target = world.domains
    first = Path(next(iter(runs)).work_dir, 'test')
    names = sorted(p.name for p in (first / 'translations' / target).glob('*.png'))
    rows = []
    for name in names[:: max(1, len(names) // count)][:count]:
        paths = [
            first / 'inputs' / source / name,
            *(Path(run.work_dir, 'test/translations', target, name) for run in runs),
            first / 'truths' / target / name,
        ]
        rows.append(np.hstack([cv2.imread(str(path)) for path in paths]))
    write_picture(path, np.vstack(rows))


def main():
    """Run what is missing and show all of it."""
    args = parse_args()
    world = WORLDS[args.world]
    out = Path(args.out or f'work_dirs/structure/{args.world}')
    out.mkdir(parents=True, exist_ok=True)
    data_root = make_data(args.world, out, args.data_root)
    whole = args.iterations or world.iterations

    equal_steps = make_runs(args, out, data_root, lambda method, seed: whole)
    execute_all(equal_steps.values(), args.jobs)
    seconds = {key: run.result()['step_seconds'] for key, run in equal_steps.items()}

    def fitting(method, seed):
        if method != args.methods[0]:
            return max(2, round(whole * seconds[args.methods[0], seed] / seconds[method, seed]))

    equal_time = make_runs(args, out, data_root, fitting)
    execute_all(equal_time.values(), args.jobs)

    budgets = {'equal steps': equal_steps, 'equal time': equal_time}
    header, lines = make_table(args, budgets)
    for line in (header, ['---'] * len(header), *lines):
        print('| ' + ' | '.join(line) + ' |')
    report(out, world, args, budgets)


def report(out, world, args, budgets):
    """Write the results and the pictures."""
    from sesim_mmagic.engine.files import write_atomically

    results = [
        dict(budget=b, **run.result()) for b, runs in budgets.items() for run in runs.values()
    ]
    write_atomically(out / 'results.json', json.dumps(results, indent=2) + '\n')
    shown = [run for runs in budgets.values() for run in runs.values()]
    write_grid(out / 'grid.png', world, shown)
    print(f'\nColumns of {out}/grid.png: input, ', end='')
    print(', '.join(Path(run.work_dir).name for run in shown), 'truth', sep=', ')


if __name__ == '__main__':
    main()
