"""Choose the weights of structure losses on held-out scenes of the synthetic shapes.

    python tools/benchmark/weights.py --methods pixel perceptual --weights 0.5 2.5 10
        [--iterations 250] [--lr-scale 2] [--seed 2021] [--jobs 2] [--out work_dirs/weights]

Trains every method with each weight (of the structure loss, or of CycleGAN's cycle) on the
mismatched dataset and scores the validation scenes, which no test ever uses. Prints both sides of
the bargain, foreground IoU (structure) and style (appearance), and their harmonic mean.
"""

import argparse
from pathlib import Path

from comparisons import METHODS, make_data, make_run
from runs import execute_all

from sesim_mmagic.apis import command_line

DATASET = 'mismatch'


def parse_args():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    weighted = [method for method in METHODS if method != 'none']
    parser.add_argument('--methods', nargs='+', choices=weighted, required=True)
    parser.add_argument('--weights', nargs='+', type=float, required=True)
    parser.add_argument('--iterations', type=int, default=250)
    parser.add_argument('--lr-scale', type=float, default=2.0, help='factor on all learning rates')
    parser.add_argument('--seed', type=int, default=2021)
    parser.add_argument('--jobs', type=int, default=2, help='trainings at a time, one core each')
    parser.add_argument('--out', default='work_dirs/weights', help='folder for everything')
    return parser.parse_args()


@command_line.command('the same command goes on from here')
def main():
    """Run what is missing and print the table."""
    args = parse_args()
    out = Path(args.out)
    data = make_data(DATASET, out)
    runs = {}
    for method in args.methods:
        part = 'loss_config.cycle_loss' if method == 'cyclegan' else 'structure_loss.loss'
        for weight in args.weights:
            settings = {f'model.{part}_weight': weight, 'test_dataloader.dataset.split': 'val'}
            folder = out / f'weight{weight:g}'
            runs[method, weight] = make_run(
                DATASET, method, args.seed, args.iterations, args.lr_scale, folder, data, settings
            )
    execute_all(list(runs.values()), args.jobs)
    print('\n| method | weight | foreground IoU | style | harmonic mean |\n|---|---|---|---|---|')
    for (method, weight), run in runs.items():
        scores = run.result()['scores']
        structure, style = scores['foreground_iou'], scores['style']
        both = 2 * structure * style / max(structure + style, 1e-9)
        print(f'| {METHODS[method][0]} | {weight:g} | {structure:.3f} | {style:.3f} | {both:.3f} |')


if __name__ == '__main__':
    main()
