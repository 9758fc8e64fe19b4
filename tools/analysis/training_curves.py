"""Scores of several trainings on held-out pictures, over steps or minutes, as one figure.

python tools/analysis/training_curves.py --run NAME WORK_DIR [--run ...] --scores NAME ...
    [--minutes] --out FIGURE

Each training has written ``results.json`` into its work directory. Minutes are steps times the
median time of a step: without validations, checkpoints and the start.
"""

import argparse
from pathlib import Path

from arguments import create_parser

from sesim_mmagic.apis import command_line

#: Points (step or minute, score) of a training.
Curve = list[tuple[float, float]]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = create_parser(__doc__.splitlines()[0])
    text = 'a name for the legend, and the work directory of a training'
    run = dict(nargs=2, action='append', required=True, metavar=('NAME', 'WORK_DIR'), help=text)
    parser.add_argument('--run', **run)
    text = 'scores, as results.json has them or without the part before the slash'
    parser.add_argument('--scores', nargs='+', required=True, metavar='NAME', help=text)
    parser.add_argument('--minutes', action='store_true', help='over minutes in place of steps')
    args = parser.parse_args(argv)
    if len({name for name, _ in args.run}) < len(args.run):
        parser.error('--run: each training needs a name of its own')
    return args


if __name__ == '__main__':
    command_line.answer_first(parse_args)

import matplotlib.pyplot as plt

from sesim_mmagic.engine import read_results
from sesim_mmagic.engine.results_file import RESULTS


def read_curves(work_dir: str, scores: list[str], minutes: bool) -> dict[str, Curve]:
    """The curve of each score.

    Args:
        work_dir (str): Work directory of a training.
        scores (list[str]): Names of scores, with or without the part before the slash.
        minutes (bool): Whether points are at minutes, in place of steps.

    Returns:
        dict[str, Curve]: By names as given; validations whose score is no finite number have no
        point.

    Raises:
        CommandError: There is no ``results.json`` with validations, it does not say how long a
            step takes, or a name stands for none or several of a validation's scores.
        ValueError: ``results.json`` cannot be read.
    """
    path, results = Path(work_dir, RESULTS), read_results(work_dir)
    if results is None:
        raise command_line.CommandError(
            f"'{path}' does not exist: give the work directory of a training"
        )
    history = results.get('validation', {}).get('history')
    if not history:
        raise command_line.CommandError(
            f"'{path}' has no validation: train with val_evaluator and train_cfg.val_interval"
        )
    seconds = results.get('training', {}).get('seconds_per_iteration')
    if minutes and seconds is None:
        raise command_line.CommandError(
            f"'{path}' does not say how long a step takes: leave out --minutes"
        )
    step = seconds / 60 if minutes else 1
    curves: dict[str, Curve] = {score: [] for score in scores}
    for validation in history:
        for score, curve in curves.items():
            if (value := _value(validation['metrics'], score, path)) is not None:
                curve.append((validation['iteration'] * step, value))
    return curves


def _value(metrics: dict, score: str, path: Path) -> float | None:
    short = [name for name in metrics if name.rpartition('/')[2] == score]
    names = [score] if score in metrics else short
    if len(names) != 1:
        number, known = ('several scores', names) if names else ('no score', metrics)
        raise command_line.CommandError(
            f"'{path}' has {number} '{score}'; it has {', '.join(sorted(known))}"
        )
    return metrics[names[0]]


@command_line.command()
def main(argv: list[str] | None = None) -> None:
    """Read all results, then draw a field for each score."""
    args = parse_args(argv)
    command_line.check_out(args.out, args.overwrite)
    runs = {name: read_curves(folder, args.scores, args.minutes) for name, folder in args.run}
    for name, curves in runs.items():
        for score in (score for score, curve in curves.items() if not curve):
            raise command_line.CommandError(
                f"'{score}' is no finite number in any validation of '{name}'"
            )
    width = 4 * len(args.scores)
    figure, axes = plt.subplots(1, len(args.scores), figsize=(width, 3.2), squeeze=False)
    for axis, score in zip(axes[0], args.scores, strict=True):
        for name, curves in runs.items():
            axis.plot(*zip(*curves[score], strict=True), '.-', label=name)
        axis.set(title=score, xlabel='minutes' if args.minutes else 'steps')
        axis.grid(alpha=0.3)
        axis.spines[['top', 'right']].set_visible(False)
    axes[0, 0].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(args.out, dpi=110)
    print(f'figure: {args.out}')


if __name__ == '__main__':
    main()
