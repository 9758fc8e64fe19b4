"""Teach line drawings their colours on the CPU: FSeSim beside the same without structure loss.

    python tools/demo.py [--out work_dirs/demo]

Renders OpenMoji's drawings, trains both models for about the same time on one core each, tests
both on drawings that neither saw, prints a table, writes a page and a picture, and says what to
do with it all.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmark.trainings import Training, train_all, translated_scenes, write_grid
from dataset_converters.openmoji import write_drawings

from sesim_mmagic.apis import command_line

CONFIG = 'configs/fsesim/fsesim_resnet-w32-projected_1xb1-500iters_openmoji-line2colour128.py'
#: Title, iterations, settings of each training. A step without structure loss is shorter; the
#: numbers of iterations make the times alike and, unlike a time limit, the results repeatable.
METHODS = {
    'fsesim': ('FSeSim', 500, {}),
    'no_structure': ('no structure loss', 600, {'model.structure_loss': None}),
}
#: Drawings of each part of the data set.
SIZES = dict(train=600, val=25, test=128)
#: Times as fast as float32 that a processor must be in bfloat16 for the demo to train in it.
ENOUGH = 1.2
#: Scores by their names in the results: what the table calls them, and how it writes them.
SCORES = {
    'filled': ('coloured, of the pixels that lines enclose', '.0%'),
    'even': ('of one colour, of the pixels of a region that lines enclose', '.0%'),
    'ground_white': ('still white, of the paper around the drawing', '.0%'),
    'lines_dark': ('still dark, of the lines', '.0%'),
    'boundary_f1': ('outlines, compared with the true picture (F1)', '.2f'),
    'psnr': ('PSNR to the true picture, whose colours no model can know', '.1f dB'),
}
NEXT = """
Drawings, both translations and the true pictures: all of them, and a few as one picture
  {page}
  {out}/demo.png
Losses and scores of the training with FSeSim:
  {out}/fsesim/report.html

Colour drawings with the trained model, here those of the test:
  python tools/translate.py {out}/dataset/testA --model {model} --out {out}/translated
Try it in a browser, and click where self-similarity is to be shown:
  python tools/web_demo.py --model {model} --pictures {out}/dataset/testA
Train on your own pictures: docs/guide/own_data.md"""


Row = tuple[str, ...]


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Train FSeSim and its baseline on the CPU.')
    parser.add_argument('--out', default='work_dirs/demo', help='folder for everything')
    parser.add_argument('--seed', type=int, default=2022, help='seed of the trainings')
    parser.add_argument(
        '--scale',
        type=float,
        default=1.0,
        help='factor on the numbers of iterations and pictures, for a quick look',
    )
    return parser.parse_args()


def make_trainings(args: argparse.Namespace, out: Path, dataset: Path, amp: bool) -> list[Training]:
    """One training a method."""
    trainings = []
    for name, (title, iterations, settings) in METHODS.items():
        places, iterations = (str(out / name), str(dataset)), max(2, round(iterations * args.scale))
        trainings.append(Training(title, CONFIG, *places, iterations, args.seed, settings, amp))
    return trainings


def table(trainings: Sequence[Training]) -> tuple[Row, list[Row]]:
    """Header and lines of the results, one column a training."""
    results = [training.results() for training in trainings]
    minutes = [r['step_seconds'] * r['run']['iterations'] / 60 for r in results]
    lines = [
        ('steps of training', *(str(r['run']['iterations']) for r in results)),
        ('minutes of training, on one core', *(f'{m:.1f}' for m in minutes)),
    ]
    for key, (title, style) in SCORES.items():
        style, _, unit = style.partition(' ')
        lines.append((title, *(f'{r["scores"][key]:{style}} {unit}'.strip() for r in results)))
    return ('', *(training.title for training in trainings)), lines


def write_pictures(
    out: Path, trainings: Sequence[Training], header: Row, lines: Sequence[Row]
) -> None:
    """A page of all drawings, each with both translations and the truth, and a PNG of a few."""
    from sesim_mmagic.engine import write_report

    columns = 'line drawing', *header[1:], 'true picture'
    rows = list(translated_scenes(trainings, 'line', 'colour'))
    title = 'Line drawings in colour'
    write_report(out / 'index.html', title, columns, rows, tables=[('Scores', header, lines)])
    # Evenly among the drawings, whose names follow their subjects; one column each.
    shown = [paths for _, paths in rows[:: max(1, len(rows) // 8)][:8]]
    write_grid(
        out / 'demo.png',
        [''] * len(shown),
        list(zip(columns, zip(*shown, strict=True), strict=True)),
    )


@command_line.command('the same command goes on from here')
def main() -> None:
    """Run the demo."""
    args = parse_args()
    from sesim_mmagic.engine.cpu import bfloat16_speed

    out = Path(args.out)
    dataset = out / 'dataset'
    if dataset.exists():
        print(f"Goes on with the drawings of '{dataset}'.")
    else:
        numbers = {part: max(4, round(n * args.scale)) for part, n in SIZES.items()}
        write_drawings(dataset, **numbers)
    speed = bfloat16_speed()
    amp = speed > ENOUGH
    chosen = 'bfloat16' if amp else 'float32'
    print(
        f'In bfloat16 this processor takes {1 / speed:.1f} times as long as in float32: the demo '
        f'trains in {chosen}.'
    )
    trainings = make_trainings(args, out, dataset, amp)
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
