"""Pictures a second through tools/translate.py, beside CUT's own test.py on the same pictures.

    python tools/benchmark/inference.py [--reference contrastive-unpaired-translation]
        [--sizes 256] [--batch-sizes 1] [--threads 1] [--pictures 9] [--repeats 3] [--width 64]
        [--out inference.json]

Both are whole commands on the CPU, with one random generator of CUT's layout (9 residual blocks)
and smooth random pictures. They take turns. A command is watched through the files that it
writes: the start-up ends with the first translation, and pictures a second are counted between
the first batch and the last, reading and writing included. Peak memory is that of the process.
The floor is the time of the generator's convolutions alone, as PyTorch computes them; ours need
fewer multiplications and may come below it.

``--reference`` is a checkout of github.com/taesungp/contrastive-unpaired-translation. Its test.py
also reads the target's pictures and saves source and target beside each translation. Where its
package for web pages, dominate, is missing, a stand-in without content takes its place.
"""

import argparse
from pathlib import Path

from sesim_mmagic.apis import command_line


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    positive = command_line.whole_number(1)
    add = parser.add_argument
    add('--reference', type=_reference, help="folder of CUT's code")
    add('--sizes', type=positive, nargs='+', default=[256], help='sides of pictures')
    add('--batch-sizes', type=positive, nargs='+', default=[1], help='of ours; theirs is 1')
    add('--threads', type=positive, default=1, help='threads of the CPU')
    add('--pictures', type=positive, default=9, help='pictures, more than in any batch')
    add('--repeats', type=positive, default=3, help='rounds')
    add('--width', type=positive, default=64, help='channels of the first layer')
    command_line.add_out(parser, help='JSON file for the results')
    args = parser.parse_args(argv)
    if args.pictures <= max(args.batch_sizes):
        parser.error('--pictures must be more than in any batch')
    return args


def _reference(text: str) -> str:
    if not Path(text, 'models/cut_model.py').is_file():
        raise argparse.ArgumentTypeError(
            f"'{text}' holds no models/cut_model.py; give the root of a checkout of "
            'github.com/taesungp/contrastive-unpaired-translation'
        )
    return str(Path(text).resolve())


if __name__ == '__main__':
    command_line.answer_first(parse_args)


import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from floor import CallRecorder, floor_seconds
from measuring import table, write_json

from sesim_mmagic.converters import split
from sesim_mmagic.networks.resnet_generator import ResNetBlurGenerator
from sesim_mmagic.utils.checkpoints import write_checkpoint

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = 9  # of CUT's default, --netG resnet_9blocks
CONFIG = """
default_scope = 'mmagic'
model = dict(
    type='sesim_mmagic.OneSidedTranslator',
    generator=dict(
        type='sesim_mmagic.ResNetBlurGenerator', base_channels={width}, num_blocks={blocks}),
    discriminator=None, source_domain='a', target_domain='b',
    data_preprocessor=dict(type='DataPreprocessor'))
"""
# What dominate offers, without content.
WEB_PAGES = """
class Tag:
    def __init__(self, *parts, **attributes):
        pass
    def __enter__(self):
        return self
    def __exit__(self, *error):
        pass
    def add(self, part):
        pass
    def render(self):
        return ''
document = meta = h3 = table = tr = td = p = a = img = br = Tag
"""


@dataclass
class Command:
    """A command that translates a folder of pictures.

    Args:
        name (str): For the table.
        words (list[str]): Program and arguments.
        out (Path): Folder of its translations, PNG files.
        batch (int): Pictures that it computes at once.
        folder (Path): Where it is called.
        path (str): ``PYTHONPATH``.
    """

    name: str
    words: list[str]
    out: Path
    batch: int
    folder: Path
    path: str

    def run(self, threads: int) -> dict[str, float]:
        """Run it once on the CPU.

        Returns:
            dict[str, float]: ``pictures/s``, ``start-up s``, ``whole s``, ``peak MB``.

        Raises:
            CommandError: It failed; the message has its last line.
        """
        shutil.rmtree(self.out, ignore_errors=True)
        settings = dict(PYTHONPATH=self.path, OMP_NUM_THREADS=str(threads), CUDA_VISIBLE_DEVICES='')
        with tempfile.TemporaryFile('w+') as said:
            begin = time.time()
            process = subprocess.Popen(
                self.words,
                cwd=self.folder,
                stdout=said,
                stderr=said,
                env={**os.environ, **settings},
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            end = time.time()
            if process.returncode:
                said.seek(0)
                last = said.read().strip().splitlines()[-1:]
                raise command_line.CommandError(f'{self.name} failed: {" ".join(last)}')
        written = sorted(file.stat().st_mtime for file in self.out.rglob('*.png'))
        steady = written[-1] - written[self.batch - 1]
        return {
            'pictures/s': (len(written) - self.batch) / steady,
            'start-up s': written[0] - begin,
            'whole s': end - begin,
            'peak MB': usage.ru_maxrss / 1024,
        }


def write_pictures(folder: Path, size: int, count: int) -> None:
    """Random pictures that compress about as well as photographs."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for number in range(count):
        coarse = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        picture = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC).astype(int)
        picture = (picture + rng.integers(-4, 5, picture.shape)).clip(0, 255)
        cv2.imwrite(str(folder / f'{number:03}.png'), picture.astype(np.uint8))


def write_model(folder: Path, width: int) -> None:
    """A random generator as a checkpoint of ours and as a file of CUT's."""
    torch.manual_seed(0)
    generator = ResNetBlurGenerator(base_channels=width, num_blocks=BLOCKS)
    for weight in generator.parameters():
        if weight.dim() == 4:
            torch.nn.init.kaiming_normal_(weight, nonlinearity='relu')
    weights = {f'generators.b.{name}': value for name, value in generator.state_dict().items()}
    meta = dict(cfg=CONFIG.format(width=width, blocks=BLOCKS))
    checkpoint = dict(meta=meta, state_dict=weights)
    write_checkpoint(folder / 'model.pth', checkpoint)
    for name, network in split(checkpoint, 'model.pth')[0].items():
        write_checkpoint(folder / 'cut' / name, network.tensors)


def our_command(folder: Path, batch: int) -> Command:
    """Our translate.py on the pictures of a folder that :func:`main` prepared."""
    out = folder / 'ours'
    words = [sys.executable, str(ROOT / 'tools/translate.py'), str(folder / 'testA')]
    words += ['--model', str(folder / 'model.pth'), '--out', str(out), '--device', 'cpu']
    words += ['--batch-size', str(batch)]
    return Command(f'translate.py, batch {batch}', words, out, batch, folder, str(ROOT))


def their_command(folder: Path, reference: str, args: argparse.Namespace) -> Command:
    """CUT's test.py on the same pictures; it also wants those of training and target."""
    for name in ('trainA', 'trainB', 'testB'):
        shutil.copytree(folder / 'testA', folder / name, dirs_exist_ok=True)
    if importlib.util.find_spec('dominate') is None:
        (folder / 'stand-ins/dominate').mkdir(parents=True, exist_ok=True)
        for name in ('__init__', 'tags'):
            (folder / f'stand-ins/dominate/{name}.py').write_text(WEB_PAGES)
    settings = {
        '--dataroot': folder,
        '--name': 'cut',
        '--checkpoints_dir': folder,
        '--results_dir': folder / 'results',
        '--gpu_ids': -1,
        '--preprocess': 'none',
        '--num_test': args.pictures,
        '--ngf': args.width,
    }
    words = [str(word) for setting in settings.items() for word in setting]
    out = folder / 'results/cut/test_latest/images/fake_B'
    words = [sys.executable, '-B', 'test.py', *words]
    path = str(folder / 'stand-ins')
    return Command("CUT's test.py", words, out, 1, Path(reference), path)


def floor(width: int, size: int, threads: int) -> float:
    """Seconds of the convolutions of one picture alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    generator = ResNetBlurGenerator(base_channels=width, num_blocks=BLOCKS).eval()
    image = torch.randn(1, 3, size, size).contiguous(memory_format=torch.channels_last)
    with torch.no_grad(), CallRecorder() as recorder:
        generator(image)
    try:
        return floor_seconds(recorder.calls, 'cpu')
    finally:
        torch.set_num_threads(before)


def largest_difference(ours: Path, theirs: Path) -> int:
    """Levels of 255 by which translations of the same names differ at most."""
    pairs = [(file, theirs / file.name) for file in ours.glob('*.png')]
    pictures = [[cv2.imread(str(file)).astype(int) for file in pair] for pair in pairs]
    return max(int(np.abs(a - b).max()) for a, b in pictures)


def measure(args: argparse.Namespace, size: int, folder: Path) -> list[dict]:
    """Rows of the table for one size; all commands take turns."""
    write_pictures(folder / 'testA', size, args.pictures)
    write_model(folder, args.width)
    commands = [our_command(folder, batch) for batch in args.batch_sizes]
    if args.reference:
        commands.append(their_command(folder, args.reference, args))
    rounds, floors = [], []
    for _ in range(args.repeats):
        rounds.append([command.run(args.threads) for command in commands])
        floors.append(floor(args.width, size, args.threads))
    rows = []
    for number, command in enumerate(commands):
        row = {'pixels': size, 'threads': args.threads, 'command': command.name}
        row |= {key: [each[number][key] for each in rounds] for key in rounds[0][0]}
        key = 'pictures/s'
        row['x the last'] = [each[number][key] / each[-1][key] for each in rounds]
        pairs = zip(rounds, floors, strict=True)
        row['x floor'] = [1 / each[number][key] / alone for each, alone in pairs]
        rows.append(row)
    if args.reference:
        levels = largest_difference(commands[0].out, commands[-1].out)
        print(f'{size} pixels: translations of both differ by at most {levels} of 255 levels')
    return rows


@command_line.command()
def main(argv: list[str] | None = None) -> None:
    """Measure, print a table for each size and, if asked, write JSON."""
    args = parse_args(argv)
    command_line.check_out(args.out, args.overwrite)
    rows = []
    for size in args.sizes:
        with tempfile.TemporaryDirectory() as folder:
            rows += measure(args, size, Path(folder))
        print(table(rows[-len(args.batch_sizes) - bool(args.reference) :]), flush=True)
    write_json(args.out, dict(vars(args), torch=torch.__version__, results=rows))


if __name__ == '__main__':
    main()
