"""Scores over the minutes of a core that a training took, this package's or other code's.

    python tools/benchmark/time_to_quality.py train FOLDER [--vgg16 WEIGHTS] SCRIPT ARGUMENT ...
    python tools/benchmark/time_to_quality.py score FOLDER --data-root DATA --domains A B
        --judge WEIGHTS [--step-ms MS]

``train`` runs a training script as it is, such as ``tools/train.py`` or the ``train.py`` of a
checkout of F-LSeSim or CUT, with one thread, and notes how much time of the processor it had taken
when each generator appeared below FOLDER: files ``iter_N.pth`` or ``iter_N_net_G.pth``. That time
counts all of the script, from its first import. ``--vgg16`` gives code that downloads torchvision's
VGG16 other weights of it, of ``tools/model_converters/vgg16_from_hed.py`` for example.

``score`` translates the test pictures with each generator and writes their scores beside the
truths, and those of a judge (docs/guide/evaluation.md), into ``FOLDER/curve/results.json``, which
``tools/analysis/training_curves.py --minutes`` draws. A training of ``compare.py`` has no such
times: ``--step-ms`` says how many milliseconds each of its steps took.
"""

import argparse
import json
import math
import re
import runpy
import sys
import threading
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from measuring import write_json

from sesim_mmagic.apis import command_line

#: Generators of this package and of the code of CycleGAN, CUT and F-LSeSim, by their iteration.
GENERATOR = re.compile(r'iter_(\d+)(_net_G)?\.pth')
TIMES = 'cpu_seconds.json'


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest='command', required=True)
    train = commands.add_parser('train', help='run a script, and note when generators appear')
    train.add_argument('folder', type=Path, help='folder that the script writes to')
    train.add_argument('--vgg16', type=Path, help="weights in place of torchvision's VGG16")
    train.add_argument('script', type=Path, help='a training script')
    train.add_argument('arguments', nargs=argparse.REMAINDER, help='its command line')
    score = commands.add_parser('score', help='of the generators that a training wrote')
    score.add_argument('folder', type=Path, help='that of train')
    score.add_argument('--data-root', type=Path, required=True, help='folder with testA, testB')
    score.add_argument('--domains', nargs=2, required=True, help='source and target')
    score.add_argument('--judge', type=Path, required=True, help='VGG16 that no training uses')
    score.add_argument(
        '--step-ms', type=float, help='time of a step, for a training that train did not run'
    )
    args = parser.parse_args(argv)
    if args.command == 'score' and args.step_ms is not None and not 0 < args.step_ms < math.inf:
        parser.error(f'--step-ms must be finite and above 0, got {args.step_ms}')
    for option in ('vgg16', 'script', 'judge'):
        path = getattr(args, option, None)
        if path is not None and not path.is_file():
            parser.error(f"{option}: '{path}' is not a file")
    return args


def generators(folder: Path) -> list[tuple[int, Path]]:
    """Iteration and file of the generators below a folder, in order."""
    matches = ((GENERATOR.fullmatch(path.name), path) for path in folder.rglob('iter_*.pth'))
    return sorted((int(match[1]), path) for match, path in matches if match)


def train(args: argparse.Namespace) -> None:
    """Run a script, and note the processor's time of each generator.

    Raises:
        CommandError: If the folder holds generators already.
    """
    import torch

    folder: Path = args.folder
    if generators(folder):
        raise command_line.CommandError(
            f"'{folder}' holds generators already: give another folder, or remove it"
        )
    torch.set_num_threads(1)
    if args.vgg16:
        use_vgg16(args.vgg16)
    folder.mkdir(parents=True, exist_ok=True)
    times: dict[int, float] = {}
    has_ended = threading.Event()

    def watch() -> None:
        while True:
            last = has_ended.wait(0.5)
            for iteration in {iteration for iteration, _ in generators(folder)} - times.keys():
                times[iteration] = time.process_time()
                write_json(folder / TIMES, times)
            if last:
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    sys.argv = [str(args.script), *args.arguments]
    sys.path.insert(0, str(args.script.resolve().parent))
    try:
        runpy.run_path(str(args.script), run_name='__main__')
    finally:
        has_ended.set()
        watcher.join()


def use_vgg16(path: Path) -> None:
    """Let ``torchvision.models.vgg16`` give weights of a file."""
    import torchvision

    from sesim_mmagic.utils.checkpoints import read_weights

    vgg16 = torchvision.models.vgg16
    weights = read_weights(str(path))

    def loaded(*args: Any, **kwargs: Any) -> Any:
        network = vgg16(weights=None)
        convolutions = {name.removeprefix('features.'): value for name, value in weights.items()}
        network.features.load_state_dict(convolutions)
        return network

    torchvision.models.vgg16 = loaded


def seconds_by_iteration(args: argparse.Namespace) -> dict[int, float]:
    """Processor's time of generators: what ``train`` noted, or that of their steps.

    Raises:
        CommandError: If there is neither, or both.
    """
    noted = args.folder / TIMES
    if noted.is_file() and args.step_ms:
        raise command_line.CommandError(f"'{noted}' holds times already: leave --step-ms out")
    if noted.is_file():
        return {
            int(iteration): seconds for iteration, seconds in json.loads(noted.read_text()).items()
        }
    if not args.step_ms:
        message = f"'{noted}' does not exist: train there first, or give --step-ms"
        raise command_line.CommandError(message)
    times = {i: i * args.step_ms / 1000 for i, _ in generators(args.folder)}
    if not times:
        raise command_line.CommandError(f"'{args.folder}' holds no generators iter_N.pth")
    return times


def score(args: argparse.Namespace) -> None:
    """Score each generator that has a time; those of an earlier call keep their scores.

    Raises:
        CommandError: If no times are known, two generators are of one iteration, or scores there
            are by another judge or of other pictures.
    """
    from sesim_mmagic.utils.downloads import sha256_of

    times, found = seconds_by_iteration(args), generators(args.folder)
    for (iteration, path), (following, other) in pairwise(found):
        if iteration == following:
            raise command_line.CommandError(
                f"'{path}' and '{other}' are of one iteration: give the folder of one training"
            )
    curve, history = args.folder / 'curve', []
    settings = {'data_root': str(args.data_root), 'domains': args.domains}
    settings['judge'] = sha256_of(args.judge)
    asked = curve / 'settings.json'
    if asked.is_file() and json.loads(asked.read_text()) != settings:
        raise command_line.CommandError(
            f"'{curve}' holds scores by another judge or of other pictures: remove it to score anew"
        )
    write_json(asked, settings)
    for iteration, path in found:
        if iteration not in times:
            print(f"'{path}' is left out: its training ended before its time was noted")
            continue
        scores = curve / f'{iteration}.json'
        if not scores.is_file():
            write_json(scores, scores_of(path, curve / str(iteration), args))
        history.append({'iteration': iteration, 'metrics': json.loads(scores.read_text())})
        print(f'{iteration} iterations, {times[iteration] / 60:.1f} minutes: {scores}')
    last = max(times)
    training = dict.fromkeys(('iterations', 'max_iterations'), last)
    training |= {'ranks': 1, 'seconds': times[last], 'seconds_per_iteration': times[last] / last}
    training |= {'memory_of': 'process', 'peak_memory_mb': None}
    pictures = len(list(Path(args.data_root, 'testA').iterdir()))
    validation = {'split': 'test', 'pictures': pictures, 'history': history}
    write_json(curve / 'results.json', {'training': training, 'validation': validation})


def scores_of(path: Path, folder: Path, args: argparse.Namespace) -> dict[str, float]:
    """Scores of a generator's translations of the test pictures."""
    from sesim_mmagic.apis import SeSimInferencer, evaluate_folder
    from sesim_mmagic.converters import join
    from sesim_mmagic.utils.checkpoints import read_weights, write_checkpoint

    if path.name.endswith('_net_G.pth'):
        checkpoint, _ = join({str(path): read_weights(str(path))}, *args.domains)
        path = folder.with_suffix('.pth')
        write_checkpoint(path, checkpoint)
    SeSimInferencer(str(path))(str(args.data_root / 'testA'), out_dir=str(folder))
    truths = str(args.data_root / 'testB')
    scores = evaluate_folder(
        str(folder),
        truth=truths,
        real=truths,
        scores=('kid', 'appearance'),
        set_features=str(args.judge),
    )
    return {name.rpartition('/')[2]: value for name, value in scores.items()}


@command_line.command('a training begins anew; scores go on from here')
def main(argv: Sequence[str] | None = None) -> None:
    """Do what is asked."""
    args = parse_args(argv)
    (train if args.command == 'train' else score)(args)


if __name__ == '__main__':
    main()
