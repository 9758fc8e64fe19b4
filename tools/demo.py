"""Train FSeSim and the same translator without structure loss, side by side, on the CPU.

    python tools/demo.py [--out work_dirs/demo] [--layout matched]

Makes the procedural world, trains both for about the same time on one core each, tests both
against the known truth, prints a table and writes one HTML page.
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / 'configs/fsesim/fsesim_resnet-w24_1xb4_procedural64.py'
#: Title, iterations, settings of each training. A step without structure loss is shorter; the
#: numbers of iterations make the times alike and, unlike a time limit, the results repeatable.
METHODS = {
    'fsesim': ('FSeSim', 500, {}),
    'no_structure': ('no structure loss', 900, {'model.structure_loss': None}),
}
SCORES = ('foreground_iou', 'miou', 'miou_permuted', 'boundary_f1', 'psnr', 'ssim', 'style')


def parse_args():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Train FSeSim and its baseline on the CPU.')
    parser.add_argument('--out', default='work_dirs/demo', help='folder for everything')
    parser.add_argument(
        '--layout', choices=('mismatch', 'matched'), default='mismatch', help='layout of the world'
    )
    parser.add_argument('--seed', type=int, default=2022, help='seed of the trainings')
    parser.add_argument(
        '--scale', type=float, default=1.0, help='factor on the iterations, for a quick look'
    )
    return parser.parse_args()


def run_method(name, out, world, seed, scale):
    """Train and test one method in this process; its log goes to a file."""
    _, iterations, settings = METHODS[name]
    work_dir = out / name
    with open(work_dir / 'log.txt', 'w', buffering=1) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        from mmengine.config import Config
        from mmengine.runner import Runner

        from sesim_mmagic.engine import ProgressHook

        config = Config.fromfile(CONFIG)
        constant, whole = (max(2, round(iterations * scale * share)) for share in (0.6, 1))
        config.merge_from_dict(
            {
                **settings,
                'work_dir': str(work_dir),
                'randomness.seed': seed,
                'train_cfg.max_iters': whole,
                'train_cfg.val_interval': whole,
                'param_scheduler.begin': min(constant, whole - 1),
                'param_scheduler.end': whole,
                **{
                    f'{loader}_dataloader.dataset.data_root': str(world)
                    for loader in ('train', 'val', 'test')
                },
            }
        )
        runner = Runner.from_cfg(config)
        with open(work_dir / 'progress.txt', 'w') as stream:
            runner.register_hook(ProgressHook(name=METHODS[name][0], interval=1, stream=stream))
            start = time.monotonic()
            runner.train()
            seconds = time.monotonic() - start
        scores = {key.split('/')[1]: value for key, value in runner.test().items() if '/' in key}
        result = dict(iterations=whole, seconds=seconds, scores=scores)
        (work_dir / 'result.json').write_text(json.dumps(result, indent=2))


def last_line(path):
    """What a training last said of its progress."""
    lines = path.read_text().splitlines() if path.exists() else []
    return lines[-1] if lines else 'starting'


def train_all(out, world, seed, scale):
    """Run every method in a process of its own, one core each, and show how far they are."""
    # Two single threads do more than one after the other with two.
    os.environ.update(OMP_NUM_THREADS='1', MKL_NUM_THREADS='1')
    context = multiprocessing.get_context('spawn')
    processes = {}
    for name in METHODS:
        (out / name).mkdir(parents=True, exist_ok=True)
        (out / name / 'progress.txt').unlink(missing_ok=True)
        arguments = (name, out, world, seed, scale)
        processes[name] = context.Process(target=run_method, args=arguments)
        processes[name].start()
    pause = 1 if sys.stdout.isatty() else 20
    while any(process.is_alive() for process in processes.values()):
        time.sleep(pause)
        for name in METHODS:
            print(last_line(out / name / 'progress.txt'), flush=True)
        if sys.stdout.isatty():
            print(f'\x1b[{len(METHODS)}A', end='')
    if sys.stdout.isatty():
        print('\n' * len(METHODS), end='')
    for name, process in processes.items():
        if process.exitcode:
            raise SystemExit(f'{METHODS[name][0]} failed; its log is {out / name / "log.txt"}')


def table(out):
    """Header and lines of the results, one column a method."""
    results = {name: json.loads((out / name / 'result.json').read_text()) for name in METHODS}
    lines = [
        ('iterations', *(str(r['iterations']) for r in results.values())),
        ('training minutes', *(f'{r["seconds"] / 60:.1f}' for r in results.values())),
    ]
    lines += [(key, *(f'{r["scores"][key]:.3f}' for r in results.values())) for key in SCORES]
    return ('', *(METHODS[name][0] for name in METHODS)), lines


def write_page(out, header, lines):
    """One page: input, both translations and the truth, below the scores."""
    from sesim_mmagic.engine import write_report

    names = sorted(p.stem for p in (out / 'fsesim/test/translations/flat').glob('*.png'))
    rows = [
        (
            name,
            [out / f'fsesim/test/inputs/textured/{name}.png']
            + [out / f'{method}/test/translations/flat/{name}.png' for method in METHODS]
            + [out / f'fsesim/test/truths/flat/{name}.png'],
        )
        for name in names
    ]
    write_report(
        out / 'index.html',
        'The procedural world: textured to flat',
        ('input', *header[1:], 'truth'),
        rows,
        tables=[('Scores', header, lines)],
    )
    return (out / 'index.html').resolve()


def main():
    """Run the demo."""
    args = parse_args()
    from sesim_mmagic.datasets.procedural_world import write_world

    out = Path(args.out)
    world = write_world(out / 'world', layout=args.layout, num_train=2000)
    train_all(out, world, args.seed, args.scale)
    header, lines = table(out)
    widths = [max(len(row[i]) for row in (header, *lines)) for i in range(len(header))]
    for row in (header, *lines):
        print('  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
    print(f'\nPictures: {write_page(out, header, lines)}')


if __name__ == '__main__':
    main()
