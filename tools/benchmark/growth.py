"""How time and memory grow with pictures, batches, queries and folders.

    python tools/benchmark/growth.py [--parts pictures batches queries folders] [--most N]
        [--repeats 3] [--threads 1] [--out growth.png]

* ``pictures``: a training step of FSeSim and of LSeSim (recipes of KaoKore) at 128 to 1024 pixels.
* ``batches``: the same of 1 to 64 pictures of 64 pixels.
* ``queries``: the loss alone on maps of a 256-pixel picture, 64 to 1024 queries, patch 32 and 64.
* ``folders``: a training lists and checks its pictures before its first step, and again when it
  goes on: 100 to 100,000 of 16 pixels in each domain.

``--most`` leaves out what is larger. Beside each step stands its floor: its own convolutions and
matrix products alone. Exponents are those between an amount and the one before it, in the figure
between the last two; 1 means that twice the amount takes twice as long. ``--out`` gets the figure,
and beside it a JSON file of the same name.
"""

import argparse
import math
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from measuring import Worker, table, write_json

from sesim_mmagic.apis import command_line

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = {
    'FSeSim': 'configs/fsesim/fsesim_resnet-w32_1xb1-4kiters_kaokore128.py',
    'LSeSim': 'configs/lsesim/lsesim_resnet-w32_1xb1-4kiters_kaokore128.py',
}
#: Amounts of each part, and what they are called on the axis.
AMOUNTS = {
    'pictures': ((128, 256, 512, 1024), 'side of a picture in pixels'),
    'batches': ((1, 4, 16, 64), 'pictures of a batch'),
    'queries': ((64, 256, 1024), 'queries of the loss'),
    'folders': ((100, 1000, 10_000, 100_000), 'pictures of a folder'),
}

#: Values of a series by amount: seconds, ``floor`` seconds and ``MB`` where they are known.
Series = dict[int, dict[str, float]]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--parts', nargs='+', choices=AMOUNTS, default=list(AMOUNTS))
    positive = command_line.whole_number(1)
    parser.add_argument('--most', type=positive, help='largest amount; all unless given')
    parser.add_argument('--repeats', type=positive, default=3, help='measured rounds')
    parser.add_argument('--threads', type=positive, default=1, help='threads of the CPU')
    command_line.add_out(parser, help='PNG file of the figure')
    return parser.parse_args(argv)


def step_at(args: argparse.Namespace, kind: type, spec: dict) -> dict[str, float]:
    """Time, floor and memory of a step."""
    from steps import measure

    common = dict(device='cpu', threads=args.threads, warmup=1, repeats=args.repeats)
    (result,) = measure([('step', kind, {**common, **spec})])
    seconds = median(result['ms']) / 1000
    return {'s': seconds, 'floor': result['floor ms'] / 1000, 'MB': result['peak MB']}


def training_step(args: argparse.Namespace, method: str, size: int, batch: int) -> dict[str, float]:
    """A training step of a recipe on pictures of a size."""
    from ours import OurStep

    from sesim_mmagic.apis.config_files import read_config

    plain = dict(precision='fp32', channels_last=False, compile=False)
    cfg = read_config(str(ROOT / CONFIGS[method]))
    return step_at(args, OurStep, dict(cfg=cfg, size=size, batch=batch, **plain))


def loss_step(args: argparse.Namespace, index: int, queries: int) -> dict[str, float]:
    """The loss alone, forward and backward, with a number of queries."""
    from losses import SHAPES, LossStep

    spec = dict(loss=index, shapes=SHAPES, dense=True, reference=None, num_patches=queries)
    return step_at(args, LossStep, spec)


def make_folders(folder: str, count: int) -> None:
    """Write small pictures of two domains."""
    import cv2
    import numpy as np

    picture = cv2.imencode('.png', np.zeros((16, 16, 3), np.uint8))[1].tobytes()
    for domain in ('trainA', 'trainB'):
        Path(folder, domain).mkdir()
        for number in range(count):
            Path(folder, domain, f'{number:06}.png').write_bytes(picture)


def start_seconds(folder: str) -> float:
    """Time until the data set is there, and its pictures are checked."""
    from sesim_mmagic.datasets.checking import remember_in
    from sesim_mmagic.registry import DATASETS

    begin = time.perf_counter()
    remember_in(folder)
    domains = dict(domain_a='a', domain_b='b')
    kind = 'sesim_mmagic.UnpairedFolderDataset'
    DATASETS.build(dict(type=kind, data_root=folder, pipeline=[], **domains))
    return time.perf_counter() - begin


def folders(amounts: list[int]) -> dict[str, Series]:
    """What a training does with its folders before the first step, and when it goes on."""
    series: dict[str, Series] = {'new training': {}, 'training that goes on': {}}
    for amount in amounts:
        with TemporaryDirectory() as folder:
            make_folders(folder, amount)
            for points in series.values():
                with Worker() as worker:
                    worker.ask(make_ready)
                    points[amount] = {'s': worker.ask(start_seconds, folder)}
    return series


def make_ready() -> None:
    """Import what a data set needs."""
    import sesim_mmagic.datasets  # noqa: F401


def series_of(args: argparse.Namespace, part: str) -> dict[str, Series]:
    """Series of a part by name."""
    amounts = [n for n in AMOUNTS[part][0] if args.most is None or n <= args.most]
    if part == 'folders':
        return folders(amounts)
    points: dict[str, Callable[[int], dict]] = {
        'pictures': {m: lambda n, m=m: training_step(args, m, n, 1) for m in CONFIGS},
        'batches': {m: lambda n, m=m: training_step(args, m, 64, n) for m in CONFIGS},
        'queries': {
            name: lambda n, i=index: loss_step(args, i, n)
            for index, name in enumerate(('FSeSim, patch 32', 'FSeSim, patch 64'))
        },
    }[part]
    return {name: {n: measured(n) for n in amounts} for name, measured in points.items()}


def slopes(series: Series, value: str) -> list[float | None]:
    """Exponent of growth from each amount to the next; None before the first."""
    points = [(math.log(n), math.log(point[value])) for n, point in series.items()]
    return [None, *((b[1] - a[1]) / (b[0] - a[0]) for a, b in pairwise(points))]


def rows_of(part: str, all_series: dict[str, Series]) -> list[dict[str, Any]]:
    """Lines of a part's table."""
    rows = []
    for name, series in all_series.items():
        values = list(next(iter(series.values())))
        exponents = {f'exponent of {value}': slopes(series, value) for value in values}
        for number, (amount, point) in enumerate(series.items()):
            row = {'': name, part: amount, **point}
            rows.append(row | {key: of[number] for key, of in exponents.items()})
    return rows


def draw(path: str, results: dict[str, dict[str, Series]]) -> None:
    """Draw a field of seconds for each part, and one of memory where it is known."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(results), figsize=(4 * len(results), 7), squeeze=False)
    for column, (part, all_series) in enumerate(results.items()):
        for axis, value in zip(axes[:, column], ('s', 'MB'), strict=True):
            known = {k: s for k, s in all_series.items() if value in next(iter(s.values()))}
            axis.set_visible(bool(known))
            for number, (name, series) in enumerate(known.items()):
                points = [point[value] for point in series.values()]
                label = f'{name}, exponent {slopes(series, value)[-1]:.2f}'
                axis.plot(list(series), points, 'o-', color=f'C{number}', label=label)
                if value == 's' and 'floor' in next(iter(series.values())):
                    floors = [point['floor'] for point in series.values()]
                    label = f'its floor, exponent {slopes(series, "floor")[-1]:.2f}'
                    axis.plot(list(series), floors, ':', color=f'C{number}', label=label)
            axis.set(xscale='log', yscale='log', xlabel=AMOUNTS[part][1])
            axis.set_ylabel('seconds' if value == 's' else 'MB above the model')
            axis.set_xticks(AMOUNTS[part][0], [f'{n:,}' for n in AMOUNTS[part][0]], minor=False)
            axis.minorticks_off()
            if known:
                axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


@command_line.command()
def main(argv: list[str] | None = None) -> None:
    """Measure, print a table for each part and draw the figure."""
    args = parse_args(argv)
    amounts = {part: AMOUNTS[part][0][1] for part in args.parts}
    if args.most and args.most < max(amounts.values()):
        raise command_line.CommandError(
            f'--most: growth needs two amounts of each part, got {args.most}, give at least '
            f'{max(amounts.values())}'
        )
    command_line.check_out(args.out, args.overwrite)
    results = {}
    for part in args.parts:
        results[part] = series_of(args, part)
        print(f'\n{table(rows_of(part, results[part]))}', flush=True)
    if args.out:
        draw(args.out, results)
        write_json(Path(args.out).with_suffix('.json'), results)


if __name__ == '__main__':
    main()
