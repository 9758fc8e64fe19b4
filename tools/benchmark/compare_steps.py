"""Training steps of several configs in turn, each beside the first.

    python tools/benchmark/compare_steps.py CONFIG CONFIG [CONFIG ...]
        [--device cuda] [--sizes 256] [--batch 1] [--precision amp] [--channels-last] [--compile]
        [--repeats 7] [--out compare_steps.json]

As train_step.py, whose options these are, but the configs take turns within a round: a busy machine
slows all of them, and ratios to the first config are taken round by round.
"""

import step_arguments

from sesim_mmagic.apis import command_line


def parse_args(argv=None):
    """Parse the command line."""
    parser = step_arguments.create_parser(__doc__.splitlines()[0])
    args = step_arguments.parse_args(parser, argv)
    if args.reference or len(args.configs) < 2:
        parser.error('give two or more configs; --reference is for train_step.py')
    return args


if __name__ == '__main__':
    command_line.answer_first(parse_args)


import os
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import torch
from step_workers import Worker
from train_step import device_name, precisions, prepare, read_mode, run_rounds, summary


def measure(specs, repeats, warmup):
    """Results of the steps of all specs, with ratios to the first."""
    with ExitStack() as stack:
        workers = {}
        for number, spec in enumerate(specs):
            workers[number] = Worker('ours', {**spec, 'dtype': precisions(spec)['ours']})
            stack.callback(workers[number].close)
        run_rounds(workers, warmup)
        for worker in workers.values():
            worker.ask('settle')
        seconds = run_rounds(workers, repeats)
        memory = [worker.ask('peak_mb') for worker in workers.values()]
        counts = [worker.ask('multiply_adds') for worker in workers.values()]
    results = []
    for number, spec in enumerate(specs):
        ratios = [own / first for own, first in zip(seconds[number], seconds[0], strict=True)]
        results.append(
            dict(
                config=spec['config'],
                size=spec['size'],
                **summary(seconds[number], memory[number], counts[number]),
                time_ratio=median(ratios),
                time_ratio_range=(min(ratios), max(ratios)),
            )
        )
    return results


def table(results):
    """Lines of a Markdown table."""
    yield '| config | median ms (range) | of the first | peak MB | 10^9 multiply-adds |'
    yield '|---|---|---|---|---|'
    for row in results:
        low, high = row['range_ms']
        least, most = row['time_ratio_range']
        peak = '-' if row['peak_mb'] is None else f'{row["peak_mb"]:.0f}'
        yield (
            f'| {Path(row["config"]).stem}, {row["size"]} px | {row["median_ms"]:.0f} '
            f'({low:.0f} to {high:.0f}) | {row["time_ratio"]:.2f} ({least:.2f} to {most:.2f}) '
            f'| {peak} | {row["multiply_adds"] / 1e9:.0f} |'
        )


@command_line.command()
def main(argv=None):
    """Measure, print tables and, if asked, write JSON."""
    args = parse_args(argv)
    command_line.check_out(args.out, args.overwrite)
    prepare(args)
    if args.device == 'cpu':  # to the workers too: mixed precision asks whether there is a GPU
        os.environ['CUDA_VISIBLE_DEVICES'] = ''
    settings = {k: v for k, v in vars(args).items() if k not in ('configs', 'out', 'overwrite')}
    print(f'{device_name(args.device)}, torch {torch.__version__}, threads {args.threads}')
    results = []
    for size in args.sizes:
        specs = [{**settings, **read_mode(args, c), 'size': size} for c in args.configs]
        results.append(measure(specs, args.repeats, args.warmup))
        print('\n'.join(table(results[-1])), flush=True)
    if args.out:
        import json

        from sesim_mmagic.utils.files import write_atomically

        write_atomically(args.out, json.dumps(dict(settings, results=results), indent=2) + '\n')


if __name__ == '__main__':
    main()
