"""Train FSeSim and the same translator without structure loss, side by side, on the CPU.

    python tools/demo.py [--out work_dirs/demo] [--layout matched]

Makes the synthetic shapes, trains both for about the same time on one core each, tests both
against the known truth, prints a table and writes one HTML page.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / 'benchmark'))

from runs import Run, execute_all

from sesim_mmagic.apis import command_line

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / 'configs/fsesim/fsesim_resnet-w24_1xb4_shapes64.py'
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
        '--layout',
        choices=('mismatch', 'matched'),
        default='mismatch',
        help='layout of the dataset',
    )
    parser.add_argument('--seed', type=int, default=2022, help='seed of the trainings')
    parser.add_argument(
        '--scale', type=float, default=1.0, help='factor on the iterations, for a quick look'
    )
    return parser.parse_args()


def make_runs(out, dataset, seed, scale):
    """One run a method."""
    data = {
        f'{name}_dataloader.dataset.data_root': str(dataset) for name in ('train', 'val', 'test')
    }
    return {
        name: Run(
            title,
            str(CONFIG),
            str(out / name),
            max(2, round(iterations * scale)),
            seed,
            {**settings, **data},
        )
        for name, (title, iterations, settings) in METHODS.items()
    }


def table(runs):
    """Header and lines of the results, one column a method."""
    results = {name: run.result() for name, run in runs.items()}
    minutes = [r['step_seconds'] * r['run']['iterations'] / 60 for r in results.values()]
    lines = [
        ('iterations', *(str(r['run']['iterations']) for r in results.values())),
        ('training minutes', *(f'{m:.1f}' for m in minutes)),
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
        'The synthetic shapes: textured to flat',
        ('input', *header[1:], 'truth'),
        rows,
        tables=[('Scores', header, lines)],
    )
    return (out / 'index.html').resolve()


@command_line.command('the same command goes on from here')
def main():
    """Run the demo."""
    args = parse_args()
    from sesim_mmagic.datasets.synthetic_shapes import write_shapes

    out = Path(args.out)
    dataset = write_shapes(out / 'dataset', layout=args.layout, num_train=2000)
    runs = make_runs(out, dataset, args.seed, args.scale)
    execute_all(runs.values())
    header, lines = table(runs)
    widths = [max(len(row[i]) for row in (header, *lines)) for i in range(len(header))]
    for row in (header, *lines):
        print('  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
    print(f'\nPictures: {write_page(out, header, lines)}')


if __name__ == '__main__':
    main()
