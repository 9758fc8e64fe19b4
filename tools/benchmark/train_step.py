"""Time, memory and multiply-adds of a training step, beside the authors' own code.

    python tools/benchmark/train_step.py CONFIG [CONFIG ...] [--reference F-LSeSim]
        [--device cuda] [--sizes 256] [--batch 1] [--precision amp] [--channels-last] [--compile]
        [--repeats 7] [--out train_step.json]

A step is ``model.train_step`` on random pictures as a data loader gives them, with the optimizers
of the config and random VGG16 weights. ``--reference`` names a checkout of
github.com/lyndonzheng/F-LSeSim, whose step (``set_input`` and ``optimize_parameters``) is measured
in turn with ours, in float32 whatever ours has: it knows nothing else. Each method lives in a
process of its own and only one runs at a time: ours, theirs, ours, theirs, so that a busy machine
slows both, and ratios are taken round by round.

Peak memory of the measured steps is what PyTorch allocated on a GPU, weights included; on the CPU
it is how much the process has grown since the model was built. The floor of a step is the time its
multiply-adds would take at the rate of a large matrix product or convolution, whichever is faster
in the same round (some matrix libraries hold back on some processors). Convolutions that save
multiplications may come below it; a step also does what is no multiply-add.
"""

import step_arguments

from sesim_mmagic.apis import command_line


def parse_args(argv=None):
    """Parse the command line."""
    return step_arguments.parse_args(step_arguments.create_parser(__doc__.splitlines()[0]), argv)


if __name__ == '__main__':
    command_line.answer_first(parse_args)


import json
import os
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import torch
from reference_step import is_reference
from step_workers import Worker, read_config

LOSSES = {'sesim_mmagic.FSeSimLoss': 'fixed', 'sesim_mmagic.LSeSimLoss': 'learned'}
RATES = ('matmul', 'convolution')


# ------------------------------------------------------------------ measuring


def precisions(spec):
    """Type of the numbers that each step computes with."""
    fast = dict(cpu='bfloat16', cuda='float16')[spec['device']]
    dtypes = {'ours': fast if spec['precision'] == 'amp' else 'float32'}
    if spec['reference']:
        dtypes['reference'] = 'float32'
    return dtypes


def measure(spec, repeats, warmup):
    """Results of one config at one size, for each method and as ratios."""
    dtypes = precisions(spec)
    rates = [f'{kind} {dtype}' for dtype in dict.fromkeys(dtypes.values()) for kind in RATES]
    with ExitStack() as stack:
        workers = {}
        for name in (*dtypes, *rates):
            kind, _, dtype = name.partition(' ')
            workers[name] = Worker(kind, {**spec, 'dtype': dtype})
            stack.callback(workers[name].close)
        run_rounds(workers, warmup)
        for worker in workers.values():
            worker.ask('settle')
        seconds = run_rounds(workers, repeats)
        # All memory is read before the counting, which takes some.
        memory = {name: workers[name].ask('peak_mb') for name in dtypes}
        counts = {name: worker.ask('multiply_adds') for name, worker in workers.items()}
    per_second = {n: [counts[n]['total'] / value for value in seconds[n]] for n in rates}
    result = {key: spec[key] for key in ('config', 'mode', 'augmented', 'size')}
    for name, dtype in dtypes.items():
        result[name] = summary(seconds[name], memory[name], counts[name])
        measured = {kind: per_second[f'{kind} {dtype}'] for kind in RATES}
        result[name]['floor'] = floor(seconds[name], counts[name]['total'], measured)
        result[name]['floor']['dtype'] = dtype
    if 'reference' in dtypes:
        result['reference_over_ours'] = compare(result, seconds)
    return result


def run_rounds(workers, count):
    """Seconds of each worker's step, one after the other, ``count`` times."""
    seconds = {name: [] for name in workers}
    for _ in range(count):
        for name, worker in workers.items():
            seconds[name].append(worker.ask('seconds'))
    return seconds


def summary(seconds, peak_mb, counts):
    """What is reported of one method."""
    times = [1000 * value for value in seconds]
    return dict(
        median_ms=median(times),
        range_ms=(min(times), max(times)),
        times_ms=times,
        peak_mb=peak_mb,
        multiply_adds=counts['total'],
        multiply_adds_by_part=counts['parts'],
    )


def floor(seconds, multiply_adds, rates):
    """Time of the multiply-adds at the best rate of each round; how far above it the step is."""
    floors = [multiply_adds / max(of_round) for of_round in zip(*rates.values(), strict=True)]
    above = [value / least for value, least in zip(seconds, floors, strict=True)]
    return dict(
        ms=1000 * median(floors),
        step_over_floor=median(above),
        gigamultiply_adds_per_second={kind: median(rates[kind]) / 1e9 for kind in rates},
    )


def compare(result, seconds):
    """Ratios of the reference to ours; that of the times is taken round by round."""
    ours, reference = result['ours'], result['reference']
    ratios = [r / o for o, r in zip(seconds['ours'], seconds['reference'], strict=True)]
    return dict(
        time=median(ratios),
        time_range=(min(ratios), max(ratios)),
        # Noise only ever adds: on a busy machine this says more than the median.
        time_of_fastest=min(reference['times_ms']) / min(ours['times_ms']),
        peak_mb=reference['peak_mb'] / ours['peak_mb'] if ours['peak_mb'] else None,
        multiply_adds=reference['multiply_adds'] / ours['multiply_adds'],
    )


# ------------------------------------------------------------------ reporting


def table(result):
    """Lines that say one result."""
    yield f'\n{Path(result["config"]).name}, {result["size"]} x {result["size"]}'
    yield '             median ms (range)               peak MB   10^9 m.-adds   floor ms  x floor'
    for name in ('ours', 'reference'):
        if name not in result:
            continue
        row = result[name]
        low, high = row['range_ms']
        peak = '-' if row['peak_mb'] is None else f'{row["peak_mb"]:.0f}'
        yield (
            f'{name:10s} {row["median_ms"]:10.1f} ({low:.1f} to {high:.1f})'.ljust(44)
            + f'{peak:>8s} {row["multiply_adds"] / 1e9:14.2f} {row["floor"]["ms"]:10.1f} '
            f'{row["floor"]["step_over_floor"]:8.2f}'
        )
    if 'reference_over_ours' in result:
        ratio = result['reference_over_ours']
        low, high = ratio['time_range']
        memory = '-' if ratio['peak_mb'] is None else f'{ratio["peak_mb"]:.2f}'
        yield (
            f'reference / ours: time {ratio["time"]:.2f} ({low:.2f} to {high:.2f}), fastest steps '
            f'{ratio["time_of_fastest"]:.2f}, memory {memory}, '
            f'multiply-adds {ratio["multiply_adds"]:.2f}'
        )
    for name in ('ours', 'reference'):
        if name in result:
            yield from table_of_parts(name, result[name])


def table_of_parts(name, row):
    """Lines with the multiply-adds of each part and the rates of the machine."""
    parts = row['multiply_adds_by_part'].items()
    yield f'{name}, 10^9 multiply-adds: ' + ', '.join(f'{k} {v / 1e9:.2f}' for k, v in parts)
    rates = row['floor']['gigamultiply_adds_per_second'].items()
    rates = ', '.join(f'{kind} {rate:.1f}' for kind, rate in rates)
    yield f'{name}, 10^9 multiply-adds a second in {row["floor"]["dtype"]}: {rates}'


def device_name(device):
    """What the processor or the GPU calls itself."""
    if device == 'cuda':
        return torch.cuda.get_device_name()
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
        return next(line for line in lines if line.startswith('model name')).split(': ')[1]
    except (OSError, StopIteration):
        return 'CPU'


# ------------------------------------------------------------------ command line


def prepare(args):
    """Complete the arguments, or end with a message if something asked for cannot be had."""
    args.cfg_options = command_line.read_options(args.cfg_options)
    if args.threads is None:
        args.threads = torch.get_num_threads()
    if args.device == 'cuda' and not torch.cuda.is_available():
        raise command_line.CommandError('--device cuda: PyTorch finds no GPU')
    if args.reference and not is_reference(args.reference):
        raise command_line.CommandError(
            f"--reference '{args.reference}' holds no models/sc_model.py; give the root of a "
            'checkout of github.com/lyndonzheng/F-LSeSim'
        )


def read_mode(args, config):
    """The authors' mode that a config corresponds to, None if none, and if views are augmented."""
    model = read_config(config, args.cfg_options).model
    loss = model.get('structure_loss') or {}
    kind = loss.get('type')
    if args.reference and (kind not in LOSSES or 'source_domain' not in model):
        raise command_line.CommandError(
            f"'{config}' has no counterpart in the reference, which trains one generator with "
            f'one of {", ".join(LOSSES)}; its model is {model.type} with structure_loss {kind}'
        )
    mode = LOSSES.get(kind)
    augmented = mode == 'learned' and loss.get('use_augmented_view', True)
    single_image = model.generator.type == 'sesim_mmagic.StyleGAN2Generator'
    return dict(config=config, mode=mode, augmented=augmented, single_image=single_image)


@command_line.command()
def main(argv=None):
    """Measure, print tables and, if asked, write JSON."""
    args = parse_args(argv)
    command_line.check_out(args.out, args.overwrite)
    prepare(args)
    modes = [read_mode(args, config) for config in args.configs]
    if args.device == 'cpu':  # to the workers too: mixed precision asks whether there is a GPU
        os.environ['CUDA_VISIBLE_DEVICES'] = ''
    settings = {k: v for k, v in vars(args).items() if k not in ('configs', 'out', 'overwrite')}
    report = dict(device_name=device_name(args.device), torch=torch.__version__, **settings)
    if args.device == 'cuda':
        report['tf32_convolutions'] = torch.backends.cudnn.allow_tf32
    print(', '.join(f'{key} {value}' for key, value in report.items() if value is not None))
    report['results'] = []
    for mode in modes:
        for size in args.sizes:
            spec = {**settings, **mode, 'size': size}
            report['results'].append(measure(spec, args.repeats, args.warmup))
            print('\n'.join(table(report['results'][-1])), flush=True)
    if args.out:
        from sesim_mmagic.utils.files import write_atomically

        write_atomically(Path(args.out), json.dumps(report, indent=2) + '\n')


if __name__ == '__main__':
    main()
