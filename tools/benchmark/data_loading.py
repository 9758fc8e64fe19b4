"""Speed of a training pipeline in one worker, with and without views of another appearance.

    python tools/benchmark/data_loading.py CONFIG [--resize] [--seconds 5]
        [--out data_loading.json] [--cfg-options KEY=VALUE ...]

Reads, transforms and packs samples of ``train_dataloader.dataset`` in this process, with one
thread, as a worker of a data loader does. The pipeline runs with ``AppearanceView`` (the
config's own, or one with default settings before ``PackDomains``) and without it, in blocks that
alternate, so that a busy machine slows both, and that start at the same sample. Pictures are
counted without their views: a sample has as many in both variants. With ``--resize`` the
pipeline runs with OpenCV's and with Pillow's resizing instead.
"""

import argparse

from sesim_mmagic.apis import command_line


def parse_args(argv=None):
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='config file')
    command_line.add_cfg_options(parser)
    parser.add_argument(
        '--resize', action='store_true', help="compare OpenCV's with Pillow's resizing, not views"
    )
    parser.add_argument('--seconds', type=float, default=5, help='length of the measurement')
    command_line.add_out(parser, help='JSON file for the results')
    args = parser.parse_args(argv)
    if not args.seconds > 0:
        parser.error('--seconds must be positive')
    return args


if __name__ == '__main__':
    command_line.answer_first(parse_args)


import json
import time
from pathlib import Path
from statistics import median

import cv2
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

VIEW = 'AppearanceView'
PACK = 'PackDomains'
BLOCKS = 10


def is_type(transform, name):
    """Whether the config of a transform means the class ``name``, with or without its scope."""
    return str(transform['type']).split('.')[-1] == name


def variants_of(pipeline):
    """The pipeline without and with views, as lists of configs."""
    without = [transform for transform in pipeline if not is_type(transform, VIEW)]
    places = [i for i, transform in enumerate(without) if is_type(transform, PACK)]
    if not places:
        raise ValueError(
            f'the training pipeline has no {PACK}, which packs the views; put '
            f"dict(type='sesim_mmagic.{PACK}', A=..., B=...) at its end"
        )
    if len(without) < len(pipeline):
        return {'without': without, 'with': list(pipeline)}
    view = dict(type=f'sesim_mmagic.{VIEW}', keys=['img_A', 'img_B'])
    viewed = [*without[: places[0]], view, *without[places[0] :]]
    return {'without': without, 'with': viewed}


def resizers_of(pipeline):
    """The pipeline with OpenCV's and with Pillow's resizing, as lists of configs."""
    if not any(is_type(transform, 'Resize') for transform in pipeline):
        raise ValueError('the training pipeline has no Resize to compare')
    return {
        backend: [dict(t, backend=backend) if is_type(t, 'Resize') else t for t in pipeline]
        for backend in ('cv2', 'pillow')
    }


def build_datasets(cfg, variants_of):
    """A data set for each variant; where samples have a seed of their own, the same."""
    from sesim_mmagic.registry import DATASETS

    init_default_scope(cfg.get('default_scope', 'mmagic'))
    datasets = {}
    for name, pipeline in variants_of(cfg.train_dataloader.dataset.pipeline).items():
        datasets[name] = DATASETS.build({**cfg.train_dataloader.dataset, 'pipeline': pipeline})
        if hasattr(datasets[name], 'sample_seed'):
            datasets[name].sample_seed = 0
    return datasets


def samples_per_second(dataset, start, seconds):
    """Rate over at least one sample, from sample ``start`` on."""
    begin, count = time.perf_counter(), 0
    while True:
        dataset[(start + count) % len(dataset)]
        count += 1
        elapsed = time.perf_counter() - begin
        if elapsed >= seconds:
            return count / elapsed


def measure(datasets, seconds):
    """Rates of both variants, block by block, after a sample each that does not count."""
    plain, other = (dataset[0]['inputs'] for dataset in datasets.values())
    rates = {name: [] for name in datasets}
    for block in range(BLOCKS):
        # Who reads a file first may wait for the disk: take turns at that.
        for name in datasets if block % 2 else reversed(datasets):
            dataset = datasets[name]
            start = block * len(dataset) // BLOCKS
            rates[name].append(samples_per_second(dataset, start, seconds / BLOCKS / 2))
    return rates, len(plain), len(other) - len(plain)


def summarise(rates, pictures, views):
    """Medians and ranges, and what the second variant costs, from pairs of neighbouring blocks."""
    rows = []
    for name, measured in rates.items():
        low, middle, high = min(measured), median(measured), max(measured)
        rows.append(
            dict(
                variant=name,
                samples_per_second=middle,
                samples_per_second_range=(low, high),
                pictures_per_second=pictures * middle,
                pictures_per_second_range=(pictures * low, pictures * high),
            )
        )
    pairs = list(zip(*rates.values(), strict=True))
    times = sorted(plain / other for plain, other in pairs)
    result = dict(
        pictures_per_sample=pictures,
        views_per_sample=views,
        variants=rows,
        time_ratio=median(times),
        time_ratio_range=(times[0], times[-1]),
    )
    if views:
        costs = sorted(1000 * (1 / other - 1 / plain) / views for plain, other in pairs)
        result.update(
            milliseconds_per_view=median(costs),
            milliseconds_per_view_range=(costs[0], costs[-1]),
        )
    return result


def print_table(result, title):
    """The same in a few lines and a header."""
    print(f'{title:9s} samples/s (range)            pictures/s (range)')
    for row in result['variants']:
        cells = []
        for unit in ('samples', 'pictures'):
            low, high = row[f'{unit}_per_second_range']
            value = row[f'{unit}_per_second']
            cells.append(f'{value:8.1f} ({low:.1f} to {high:.1f})'.ljust(29))
        print(f'{row["variant"]:8s}', *cells[:-1], cells[-1].rstrip())
    low, high = result['time_ratio_range']
    print(f'the second takes {result["time_ratio"]:.2f} times as long ({low:.2f} to {high:.2f})')
    if result['views_per_sample']:
        low, high = result['milliseconds_per_view_range']
        print(f'a view takes {result["milliseconds_per_view"]:.1f} ms ({low:.1f} to {high:.1f})')


@command_line.command()
def main(argv=None):
    """Measure, print a table and, if asked, write JSON."""
    args = parse_args(argv)
    command_line.check_out(args.out, args.overwrite)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(command_line.read_options(args.cfg_options))
    datasets = build_datasets(cfg, resizers_of if args.resize else variants_of)
    result = dict(config=args.config, **summarise(*measure(datasets, args.seconds)))
    print_table(result, 'resize' if args.resize else 'views')
    if args.out:
        from sesim_mmagic.utils.files import write_atomically

        write_atomically(Path(args.out), json.dumps(result, indent=2) + '\n')


if __name__ == '__main__':
    main()
