"""Compare structure losses and their baselines at equal steps and at equal time, over seeds.

    python tools/benchmark/structure.py DATASET [DATASET ...] [--methods ...]
        [--seeds 2022 2023 2024] [--iterations N] [--lr-scale 1] [--steps-only]
        [--weights W ...] [--jobs 2] [--out work_dirs/structure]

DATASET is ``mismatch`` or ``matched`` (the synthetic shapes, made on the spot) or ``kaokore``
(``data/kaokore_sketch``); for multi-modal translators ``modes`` (synthetic shapes whose target
domain has several modes), ``kaokore-styles`` or ``handbags`` (``data/edges2handbags_demo``).
Every method trains for N iterations with every seed; then every method once more, for as many
iterations as fit into the time of FSeSim, or of MUNIT, by the median step of these trainings.
Every learning rate decays over its own run; ``--lr-scale 2`` doubles all of them, for short runs.
Scores are of the last iteration, on the test pictures. What has ended is not run again, what was
interrupted goes on. At the end: a table, results as JSON and a grid of pictures (the first seed,
of the last budget).

``--weights`` trains every method with each of these weights of the structure loss (CycleGAN: of the
cycle), at equal steps, and scores the validation pictures, which no test uses: to choose one.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from statistics import mean, median

from measuring import table, write_json
from trainings import ROOT, Training, train_all, translated_scenes, write_grid

from sesim_mmagic.apis import command_line

#: Title and beginning of the config's path, for each method.
METHODS = {
    'none': ('no structure loss', 'baselines/no-structure'),
    'pixel': ('pixel L1', 'baselines/pixel'),
    'perceptual': ('perceptual', 'baselines/perceptual'),
    'cut': ('CUT', 'cut/cut'),
    'fastcut': ('FastCUT', 'cut/fastcut'),
    'cyclegan': ('CycleGAN', 'cyclegan/cyclegan'),
    'cyclegan-fsesim': ('CycleGAN + FSeSim', 'cyclegan/cyclegan-fsesim'),
    'fsesim': ('FSeSim', 'fsesim/fsesim'),
    'lsesim': ('LSeSim', 'lsesim/lsesim'),
    'munit': ('MUNIT', 'munit/munit'),
    'sesim-munit': ('SeSim-MUNIT', 'munit/sesim-munit'),
    'one-sided': ('one-sided SeSim-MUNIT', 'munit/one-sided-sesim-munit'),
}


@dataclass(frozen=True)
class Dataset:
    """A data set with a truth, and the configs that methods train on it.

    Args:
        source: Arguments of ``write_shapes``, or the folder of the pictures.
        config: End of the configs' names.
        domains: Source and target.
        methods: Methods that are compared unless others are named.
        scores: Scores of the table.
        reference: Method whose time all others get.
    """

    source: dict | str
    config: str
    domains: tuple[str, str]
    methods: tuple[str, ...]
    scores: tuple[str, ...]
    reference: str = 'fsesim'


_MISMATCH = Dataset(
    dict(layout='mismatch'),
    'resnet-w24_1xb4-500iters_shapes64.py',
    ('textured', 'flat'),
    tuple(METHODS)[:9],
    ('foreground_iou', 'miou_permuted', 'boundary_f1', 'psnr', 'style'),
)
_KAOKORE = Dataset(
    'data/kaokore_sketch',
    'resnet-w32_1xb1-4kiters_kaokore128.py',
    ('sketch', 'painting'),
    ('none', 'cut', 'fsesim', 'lsesim'),
    ('psnr', 'ssim', 'boundary_f1'),
)
_MODES = Dataset(
    dict(layout='matched', modes=4),
    'adain-w16_1xb4-1kiters_shape-modes64.py',
    ('flat', 'textured'),
    ('munit', 'sesim-munit', 'one-sided'),
    ('covered', 'entropy', 'distance', 'foreground_iou', 'lpips'),
    'munit',
)
_KAOKORE_STYLES = replace(
    _MODES,
    source='data/kaokore_sketch',
    config='adain-w16_1xb1-1kiters_kaokore128-styles.py',
    domains=('sketch', 'painting'),
    scores=('lpips', 'distance', 'boundary_f1'),
)
DATASETS = {
    'mismatch': _MISMATCH,
    'matched': replace(_MISMATCH, source=dict(layout='matched')),
    'kaokore': _KAOKORE,
    'modes': _MODES,
    'kaokore-styles': _KAOKORE_STYLES,
    'handbags': replace(
        _KAOKORE_STYLES,
        source='data/edges2handbags_demo',
        config='adain-w16_1xb1-1kiters_edges2handbags-demo128.py',
        domains=('edge', 'handbag'),
    ),
}
#: Trainings by method, weight and seed; these by dataset and budget.
Trainings = dict[tuple[str, float | None, int], Training]
Budgets = dict[tuple[str, str], Trainings]


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('datasets', nargs='+', choices=DATASETS)
    parser.add_argument('--methods', nargs='+', choices=METHODS, help="the datasets' unless given")
    parser.add_argument('--seeds', nargs='+', type=int, default=[2022, 2023, 2024])
    parser.add_argument('--iterations', type=int, help="of every method; the config's unless given")
    parser.add_argument('--lr-scale', type=float, default=1.0, help='factor on all learning rates')
    parser.add_argument('--steps-only', action='store_true', help='leave equal time out')
    parser.add_argument('--weights', nargs='+', type=float, help='of the structure loss, to choose')
    parser.add_argument('--jobs', type=int, default=2, help='trainings at a time, one core each')
    parser.add_argument('--data-root', help='folder of the data set, if it lies elsewhere')
    parser.add_argument('--out', default='work_dirs/structure', help='folder for everything')
    args = parser.parse_args()
    if args.jobs < 1 or args.lr_scale <= 0 or (args.iterations or 2) < 2:
        parser.error('--jobs and --lr-scale must be positive and --iterations 2 or more')
    if len({DATASETS[dataset].scores for dataset in args.datasets}) > 1:
        parser.error('these datasets have different scores: compare them one after the other')
    for dataset in args.datasets if not (args.weights or args.steps_only) else ():
        if args.methods and DATASETS[dataset].reference not in args.methods:
            parser.error(
                f'--methods must hold {DATASETS[dataset].reference}: the others get its time'
            )
    return args


def make_training(
    args: argparse.Namespace,
    dataset: str,
    method: str,
    weight: float | None,
    seed: int,
    iterations: int | None = None,
) -> Training:
    """A training of a method on a dataset, by default for the iterations of its config."""
    from mmengine.config import Config

    from sesim_mmagic.datasets import write_shapes

    out, source = Path(args.out, dataset), DATASETS[dataset].source
    title, prefix = METHODS[method]
    path = f'configs/{prefix}_{DATASETS[dataset].config}'
    config, settings = Config.fromfile(ROOT / path), {}
    if config.model.get('ema'):  # rates and the moving average go faster alike
        settings['model.ema.momentum'] = config.model.ema.momentum * args.lr_scale
    for key, wrapper in config.optim_wrapper.items():
        if isinstance(wrapper, dict):
            rate = wrapper.optimizer.lr * args.lr_scale
            settings[f'optim_wrapper.{key}.optimizer.lr'] = rate
    data = args.data_root or (ROOT / source if isinstance(source, str) else None)
    data = data or write_shapes(out / 'dataset', num_train=2000, **source)
    iterations = iterations or config.train_cfg.max_iters
    work_dir = out / f'{method}_seed{seed}_{iterations}iters'
    if weight is not None:
        part = 'loss_config.cycle_loss' if method == 'cyclegan' else 'structure_loss.loss'
        settings |= {f'model.{part}_weight': weight, 'test_dataloader.dataset.split': 'val'}
        title, work_dir = f'{title}, weight {weight:g}', f'{work_dir}_weight{weight:g}'
    return Training(title, path, str(work_dir), str(data), iterations, seed, settings)


def equal_steps(args: argparse.Namespace, dataset: str) -> Trainings:
    """Trainings of every method, weight and seed for the same number of iterations."""
    methods = args.methods or DATASETS[dataset].methods
    return {
        key: make_training(args, dataset, *key, args.iterations)
        for key in product(methods, args.weights or [None], args.seeds)
    }


def equal_time(args: argparse.Namespace, dataset: str, trainings: Trainings) -> Trainings:
    """Trainings of the same methods and seeds, for the time of the reference."""
    seconds = {}
    for (method, *_), training in trainings.items():
        seconds.setdefault(method, []).append(training.results()['step_seconds'])
    reference = median(seconds[DATASETS[dataset].reference])
    longer = {}
    for key, training in trainings.items():
        iterations = round(training.iterations * reference / median(seconds[key[0]]))
        longer[key] = make_training(args, dataset, *key, max(2, iterations))
    return longer


def spread(values: Sequence[float]) -> str:
    """Mean of values with the smallest and the largest."""
    numbers = mean(values), min(values), max(values)
    middle, low, high = (f'{value:.3f}'.lstrip('0') or '0' for value in numbers)
    return f'{middle} ({low} to {high})'


def make_rows(budgets: Budgets, scores: Sequence[str]) -> Iterator[dict]:
    """Lines of the table: a line for each dataset, budget, method and weight, over seeds."""
    for (dataset, budget), trainings in budgets.items():
        for title in dict.fromkeys(training.title for training in trainings.values()):
            results = [t.results() for t in trainings.values() if t.title == title]
            yield {
                'dataset': dataset,
                'budget': budget,
                'method': title,
                'iterations': results[0]['run']['iterations'],
                'steps/s': f'{1 / median(r["step_seconds"] for r in results):.2f}',
                'peak MB': median(r['peak_mb'] for r in results),
                **{score: spread([r['scores'][score] for r in results]) for score in scores},
            }


def report(args: argparse.Namespace, budgets: Budgets) -> None:
    """Write and print the table, write the results and the pictures."""
    from sesim_mmagic.utils.files import write_atomically

    lines = table(list(make_rows(budgets, DATASETS[args.datasets[0]].scores)))
    name = Path(args.out, '_'.join(args.datasets))
    write_atomically(f'{name}_table.md', lines + '\n')
    results = [
        dict(dataset=dataset, budget=budget, method=method, **training.results())
        for (dataset, budget), trainings in budgets.items()
        for (method, *_), training in trainings.items()
    ]
    write_json(f'{name}_results.json', results)
    rows, (_, last) = [], list(budgets)[-1]
    for dataset in args.datasets:
        trainings = budgets[dataset, last].values()
        shown = [training for training in trainings if training.seed == args.seeds[0]]
        scenes = list(translated_scenes(shown, *DATASETS[dataset].domains))
        rows += [(dataset, paths) for _, paths in scenes[:: max(1, len(scenes) // 4)][:4]]
    titles = ['source', *(training.title for training in shown), 'truth']
    write_grid(f'{name}_grid.png', titles, rows)
    print(f'\n{lines}\n\nPictures: {name}_grid.png')


@command_line.command('the same command goes on from here')
def main() -> None:
    """Run what is missing and show all of it."""
    args = parse_args()
    budgets = {(dataset, 'equal steps'): equal_steps(args, dataset) for dataset in args.datasets}
    train_all([t for trainings in budgets.values() for t in trainings.values()], args.jobs)
    if not (args.steps_only or args.weights):
        for dataset in args.datasets:
            same = budgets[dataset, 'equal steps']
            budgets[dataset, 'equal time'] = equal_time(args, dataset, same)
        train_all([t for trainings in budgets.values() for t in trainings.values()], args.jobs)
    report(args, budgets)


if __name__ == '__main__':
    main()
