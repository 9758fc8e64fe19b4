"""Train FSeSim and the same translator without structure loss, side by side, on the CPU.

    python tools/demo.py [--out work_dirs/demo] [--layout matched]

Makes the synthetic shapes, trains both for about the same time on one core each, tests both
against the known truth, prints a table, writes a page and a picture, and says what to do with it
all.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmark.trainings import Training, train_all, translated_scenes, write_grid

from sesim_mmagic.apis import command_line

CONFIG = 'configs/fsesim/fsesim_resnet-w24_1xb4-500iters_shapes64.py'
#: Title, iterations, settings of each training. A step without structure loss is shorter; the
#: numbers of iterations make the times alike and, unlike a time limit, the results repeatable.
METHODS = {
    'fsesim': ('FSeSim', 500, {}),
    'no_structure': ('no structure loss', 900, {'model.structure_loss': None}),
}
SCORES = ('foreground_iou', 'miou', 'miou_permuted', 'boundary_f1', 'psnr', 'ssim', 'style')
NEXT = """
Pictures of both, side by side: all of them, and the first four as one picture
  {page}
  {out}/demo.png
Losses and scores of the training with FSeSim:
  {out}/fsesim/report.html

Translate pictures with the trained model, here the test pictures:
  python tools/translate.py {out}/dataset/testB --model {model} --out {out}/translated
Try it in a browser, and click where self-similarity is to be shown:
  python tools/web_demo.py --model {model} --pictures {out}/dataset/testB --feature-net random
Train on your own pictures: docs/guide/own_data.md"""


Row = tuple[str, ...]


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Train FSeSim and its baseline on the CPU.')
    parser.add_argument('--out', default='work_dirs/demo', help='folder for everything')
    parser.add_argument(
        '--layout', choices=('mismatch', 'matched'), default='mismatch', help='of the shapes'
    )
    # With 2022 the training exchanges figure and ground, as some do (docs/results.md).
    parser.add_argument('--seed', type=int, default=2023, help='seed of the trainings')
    parser.add_argument(
        '--scale',
        type=float,
        default=1.0,
        help='factor on the numbers of iterations and pictures, for a quick look',
    )
    return parser.parse_args()


def make_trainings(args: argparse.Namespace, out: Path, dataset: str | Path) -> list[Training]:
    """One training a method."""
    trainings = []
    for name, (title, iterations, settings) in METHODS.items():
        places, iterations = (str(out / name), str(dataset)), max(2, round(iterations * args.scale))
        trainings.append(Training(title, CONFIG, *places, iterations, args.seed, settings))
    return trainings


def table(trainings: Sequence[Training]) -> tuple[Row, list[Row]]:
    """Header and lines of the results, one column a training."""
    results = [training.results() for training in trainings]
    minutes = [r['step_seconds'] * r['run']['iterations'] / 60 for r in results]
    lines = [
        ('iterations', *(str(r['run']['iterations']) for r in results)),
        ('training minutes', *(f'{m:.1f}' for m in minutes)),
    ]
    lines += [(key, *(f'{r["scores"][key]:.3f}' for r in results)) for key in SCORES]
    return ('', *(training.title for training in trainings)), lines


def write_pictures(
    out: Path, trainings: Sequence[Training], header: Row, lines: Sequence[Row]
) -> None:
    """A page of all scenes, each with both translations and the truth, and a PNG of the first."""
    from sesim_mmagic.engine import write_report

    columns = 'source', *header[1:], 'truth'
    rows = list(translated_scenes(trainings, 'textured', 'flat'))
    title = 'The synthetic shapes: textured to flat'
    write_report(out / 'index.html', title, columns, rows, tables=[('Scores', header, lines)])
    write_grid(out / 'demo.png', columns, [('', paths) for _, paths in rows[:4]])


@command_line.command('the same command goes on from here')
def main() -> None:
    """Run the demo."""
    args = parse_args()
    from sesim_mmagic.datasets import write_shapes

    out = Path(args.out)
    num_train = max(4, round(2000 * args.scale))
    dataset = write_shapes(out / 'dataset', layout=args.layout, num_train=num_train)
    trainings = make_trainings(args, out, dataset)
    train_all(trainings)
    header, lines = table(trainings)
    widths = [max(len(row[i]) for row in (header, *lines)) for i in range(len(header))]
    for row in (header, *lines):
        print('  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
    write_pictures(out, trainings, header, lines)
    model = out / 'fsesim' / f'iter_{trainings[0].iterations}.pth'
    print(NEXT.format(page=(out / 'index.html').resolve(), out=out, model=model))


if __name__ == '__main__':
    main()
