"""Speed of training pipelines in one worker, side by side.

    python tools/benchmark/data_loading.py CONFIG [CONFIG ...] [--resize] [--seconds 5]
        [--out data_loading.json] [--cfg-options KEY=VALUE ...]

Reads, transforms and packs samples of ``train_dataloader.dataset`` in this process, with one
thread, as a worker of a data loader does, in blocks that take turns, so that a busy machine slows
all configs. With ``--resize`` each config is measured with OpenCV's and with Pillow's resizing.
"""

import argparse

from sesim_mmagic.apis import command_line


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='config files')
    command_line.add_cfg_options(parser)
    parser.add_argument('--resize', action='store_true', help="OpenCV's and Pillow's resizing")
    parser.add_argument('--seconds', type=float, default=5, help='length of the measurement')
    command_line.add_out(parser, help='JSON file for the results')
    args = parser.parse_args(argv)
    if not args.seconds > 0:
        parser.error('--seconds must be positive')
    return args


if __name__ == '__main__':
    command_line.answer_first(parse_args)


from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path

import cv2
from measuring import table, write_json
from mmengine.registry import init_default_scope
from torch.utils.benchmark import Timer
from torch.utils.data import Dataset

from sesim_mmagic.apis.config_files import apply_options, read_config
from sesim_mmagic.registry import DATASETS

BLOCKS = 10


def build_datasets(args: argparse.Namespace) -> dict[str, Dataset]:
    """The data sets by name; where samples have a seed of their own, it is the same."""
    datasets = {}
    for path in args.configs:
        cfg = read_config(path)
        apply_options(cfg, args.cfg_options)
        init_default_scope(cfg.get('default_scope', 'mmagic'))
        settings, name = cfg.train_dataloader.dataset, Path(path).stem
        pipelines = {name: settings.pipeline}
        if args.resize:
            backends = 'cv2', 'pillow'
            pipelines = {f'{name}, {b}': resized_by(b, settings.pipeline) for b in backends}
        for key, pipeline in pipelines.items():
            datasets[key] = DATASETS.build({**settings, 'pipeline': pipeline})
            if hasattr(datasets[key], 'sample_seed'):
                datasets[key].sample_seed = 0
    return datasets


def resized_by(backend: str, pipeline: Sequence[dict]) -> list[dict]:
    """A pipeline whose ``Resize`` has another backend."""
    is_resize = [str(transform['type']).split('.')[-1] == 'Resize' for transform in pipeline]
    if not any(is_resize):
        raise ValueError('the training pipeline has no Resize to compare')
    return [
        dict(transform, backend=backend) if chosen else transform
        for transform, chosen in zip(pipeline, is_resize, strict=True)
    ]


def measure(datasets: Mapping[str, Dataset], seconds: float) -> dict[str, list[float]]:
    """Seconds of a sample, block by block, for each data set."""
    times = {name: [] for name in datasets}
    for block in range(BLOCKS):
        # Who reads a file first may wait for the disk: take turns at that.
        for name in datasets if block % 2 else reversed(datasets):
            dataset = datasets[name]
            first = block * len(dataset) // BLOCKS
            samples = (dataset[number % len(dataset)] for number in count(first))
            timer = Timer('next(samples)', globals=dict(samples=samples), num_threads=1)
            measured = timer.blocked_autorange(min_run_time=seconds / BLOCKS / len(datasets))
            times[name].append(measured.mean)
    return times


@command_line.command()
def main(argv: list[str] | None = None) -> None:
    """Measure, print a table and, if asked, write JSON."""
    args = parse_args(argv)
    command_line.check_out(args.out, args.overwrite)
    cv2.setNumThreads(0)
    times = measure(build_datasets(args), args.seconds)
    first = next(iter(times.values()))
    rows = [
        {
            'pipeline': name,
            'samples/s': [1 / value for value in own],
            'time of the first': [a / b for a, b in zip(own, first, strict=True)],
        }
        for name, own in times.items()
    ]
    print(table(rows))
    write_json(args.out, rows)


if __name__ == '__main__':
    main()
