"""Time, memory and multiply-adds of training steps, beside each other or the authors' own code.

    python tools/benchmark/train_step.py CONFIG [CONFIG ...] [--reference F-LSeSim]
        [--device cuda] [--sizes 256] [--batch 1] [--precision amp] [--channels-last] [--compile]
        [--repeats 7] [--out train_step.json]

A step is ``model.train_step`` on random pictures as a data loader gives them, with the optimizers
of the config and random VGG16 weights. The configs take turns, and ratios to the first are taken
round by round: a busy machine slows all of them. With ``--reference``, a checkout of
github.com/lyndonzheng/F-LSeSim, each config takes turns with the step of the authors instead
(``set_input`` and ``optimize_parameters``), in float32 whatever ours has: it knows nothing else.
Each step has a process of its own, and only one runs at a time.

Peak memory of the measured steps is what PyTorch allocated on a GPU, weights included; on the CPU
it is how much the process has grown since the model was built. The floor of a step is the time
its multiply-adds would take at the rate of a large convolution in the same round. Convolutions
that save multiplications may come below it; a step also does what is no multiply-add.
"""

import argparse
from pathlib import Path

from sesim_mmagic.apis import command_line


def parse_args(argv=None):
    """Parse the command line, with what can be said about it without PyTorch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='config files')
    parser.add_argument('--reference', help="folder of the authors' code, F-LSeSim")
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument('--sizes', type=int, nargs='+', default=[256], help='sides of pictures')
    parser.add_argument('--batch', type=int, default=1, help='pictures in a batch')
    parser.add_argument('--precision', choices=('fp32', 'amp'), default='fp32', help='of ours')
    parser.add_argument('--channels-last', action='store_true', help='memory format of ours')
    parser.add_argument('--compile', action='store_true', help='torch.compile for ours')
    parser.add_argument('--repeats', type=int, default=7, help='measured rounds')
    parser.add_argument('--warmup', type=int, default=2, help='rounds before them')
    parser.add_argument('--threads', type=int, help="threads of the CPU; PyTorch's own choice")
    command_line.add_out(parser, help='JSON file for the results')
    command_line.add_cfg_options(parser)
    args = parser.parse_args(argv)
    for name, least in dict(repeats=1, warmup=0, batch=1, threads=1).items():
        value = getattr(args, name)
        if value is not None and value < least:
            parser.error(f'--{name} must be {least} or more, got {value}')
    if min(args.sizes) < 1:
        parser.error(f'--sizes must be positive, got {min(args.sizes)}')
    if args.reference and not Path(args.reference, 'models/sc_model.py').is_file():
        parser.error(
            f"--reference '{args.reference}' holds no models/sc_model.py; give the root of a "
            'checkout of github.com/lyndonzheng/F-LSeSim'
        )
    return args


if __name__ == '__main__':
    command_line.answer_first(parse_args)


import os
from contextlib import ExitStack
from statistics import median

import torch
from authors import AuthorsStep
from measuring import Worker, table, write_json
from steps import OurStep, ask, convolution_rate, start

from sesim_mmagic.apis.config_files import apply_options, read_config

MODES = {'sesim_mmagic.FSeSimLoss': 'fixed', 'sesim_mmagic.LSeSimLoss': 'learned'}


def specification(args, config, size):
    """What ``OurStep`` and ``AuthorsStep`` have to know."""
    cfg = read_config(config)
    apply_options(cfg, args.cfg_options)
    loss = cfg.model.get('structure_loss') or {}
    mode = MODES.get(loss.get('type'))
    if args.reference and (mode is None or 'source_domain' not in cfg.model):
        raise command_line.CommandError(
            f"'{config}' has no counterpart in the reference, which trains one generator with one "
            f'of {", ".join(MODES)}; its model is {cfg.model.type} with structure_loss '
            f'{loss.get("type")}'
        )
    single_image = cfg.model.generator.type == 'sesim_mmagic.StyleGAN2Generator'
    augmented = mode == 'learned' and loss.get('use_augmented_view', True)
    known = dict(cfg=cfg, mode=mode, augmented=augmented, single_image=single_image)
    return {**vars(args), **known, 'size': size}


def measure(methods):
    """Results of steps that take turns.

    Args:
        methods (list[tuple[str, type, dict]]): Name, class and specification of each step.

    Returns:
        list[dict]: What is reported of each; lists have a value for each round.
    """
    spec = methods[0][2]
    device, threads = spec['device'], spec['threads']
    fast = 'bfloat16' if device == 'cpu' else 'float16'
    is_fast = [kind is OurStep and spec['precision'] == 'amp' for _, kind, _ in methods]
    dtypes = [fast if is_amp else 'float32' for is_amp in is_fast]
    rounds, rates = [], []
    with ExitStack() as stack:
        machine, *workers = (stack.enter_context(Worker()) for _ in range(1 + len(methods)))
        for worker, (_, kind, own) in zip(workers, methods, strict=True):
            worker.ask(start, kind, own)
        for _ in range(spec['warmup']):
            ask_all(workers, 'seconds')
        ask_all(workers, 'settle')
        for _ in range(spec['repeats']):
            rounds.append(ask_all(workers, 'seconds'))
            rate = {d: machine.ask(convolution_rate, device, d, threads) for d in set(dtypes)}
            rates.append([rate[dtype] for dtype in dtypes])
        costs = ask_all(workers, 'costs')
    results = []
    for number, ((name, _, _), (peak, counts)) in enumerate(zip(methods, costs, strict=True)):
        seconds, multiply_adds = [r[number] for r in rounds], sum(counts.values())
        floors = [multiply_adds / r[number] for r in rates]
        result = {'step': f'{name}, {spec["size"]} px', 'ms': [1000 * value for value in seconds]}
        result['of the first'] = [r[number] / r[0] for r in rounds]
        result |= {'peak MB': peak, '10^9 multiply-adds': multiply_adds / 1e9}
        result['floor ms'] = 1000 * median(floors)
        result['x floor'] = median(a / b for a, b in zip(seconds, floors, strict=True))
        results.append({**result, 'by part': {k: v / 1e9 for k, v in counts.items()}})
    return results


def ask_all(workers, question):
    """Answers of the steps, one after the other."""
    return [worker.ask(ask, question) for worker in workers]


def report(results):
    """The table of steps that took turns, and their multiply-adds by part."""
    rows = [{key: row[key] for key in row if key != 'by part'} for row in results]
    parts = [
        f'{row["step"]}, 10^9 multiply-adds: '
        + ', '.join(f'{part} {count:.2f}' for part, count in row['by part'].items())
        for row in results
    ]
    return '\n'.join(['', table(rows), '', *parts])


@command_line.command()
def main(argv=None):
    """Measure, print tables and, if asked, write JSON."""
    args = parse_args(argv)
    command_line.check_out(args.out, args.overwrite)
    args.threads = args.threads or torch.get_num_threads()
    if args.device == 'cuda' and not torch.cuda.is_available():
        raise command_line.CommandError('--device cuda: PyTorch finds no GPU')
    if args.device == 'cpu':  # to the workers too: mixed precision asks whether there is a GPU
        os.environ['CUDA_VISIBLE_DEVICES'] = ''
    device = torch.cuda.get_device_name() if args.device == 'cuda' else 'cpu'
    settings = {**vars(args), 'device_name': device, 'torch': torch.__version__}
    print(', '.join(f'{key} {value}' for key, value in settings.items() if value))
    groups = []
    for size in args.sizes:
        ours = [(Path(c).stem, OurStep, specification(args, c, size)) for c in args.configs]
        if args.reference:
            groups += [[own, ('authors', AuthorsStep, own[2])] for own in ours]
        else:
            groups.append(ours)
    settings['results'] = []
    for methods in groups:
        settings['results'].append(measure(methods))
        print(report(settings['results'][-1]), flush=True)
    write_json(args.out, settings)


if __name__ == '__main__':
    main()
