"""What this package does on this machine's GPU, unattended, in a few minutes, as one page.

    python tools/benchmark/gpu_report.py --out gpu_report.md [--reference F-LSeSim] [--minutes 8]
        [--parts tests steps memory loss loading training]

The parts come in order of worth, and the page is written anew after each row. Every row has a
process and a limit of its own: one that fails, or is late, says so in its row. Parts 2 to 4 need
PyTorch, torchvision and MMEngine, and no MMagic (docs/gpu.md says how a machine without network
gets MMEngine); the others say what they lack. With ``--device cpu`` narrow networks and small
pictures show that the report itself works; its numbers mean nothing.
"""

import argparse
import time
from pathlib import Path

from measuring import add_reference

from sesim_mmagic.apis import command_line

#: Parts by worth, and how much of the time each may have; what is left over goes to the next.
SHARES = dict(tests=0.16, steps=0.3, memory=0.08, loss=0.04, loading=0.04, training=0.38)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    command_line.add_out(parser, help='Markdown file for the report', required=True)
    add_reference(parser)
    parser.add_argument('--minutes', type=float, default=8, help='for all of it (%(default)s)')
    parser.add_argument('--device', choices=('cuda', 'cpu'), default='cuda')
    parser.add_argument('--parts', nargs='+', choices=SHARES, default=list(SHARES))
    args = parser.parse_args(argv)
    if not args.minutes > 0:
        parser.error('--minutes must be positive')
    return args


if __name__ == '__main__':
    command_line.answer_first(parse_args)


import platform

import gpu_parts
import torch
from gpu_parts import Job
from measuring import NEW_PROCESS, in_time, table

from sesim_mmagic.utils.files import write_atomically
from sesim_mmagic.version import __version__


class Report:
    """The page, written anew after each row.

    Args:
        path (str): Where it is written.
        introduction (Sequence[str]): Lines above the parts.
    """

    def __init__(self, path: str, introduction: list[str]) -> None:
        self.path = path
        self.introduction = introduction
        #: Rows of each part by its title.
        self.parts: dict[str, list[dict]] = {}

    def add(self, title: str, *rows: dict) -> None:
        """Add rows to a part, and write the page."""
        self.parts.setdefault(title, []).extend(rows)
        lines = [*self.introduction]
        for part, rows_of_part in self.parts.items():
            lines += ['', f'## {part}', '', aligned(rows_of_part)]
        write_atomically(self.path, '\n'.join(lines) + '\n')


def aligned(rows: list[dict]) -> str:
    """A table of rows of which some lack columns."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return table([{key: row.get(key) for key in keys} for row in rows])


def introduction(args: argparse.Namespace) -> list[str]:
    """What was run on what."""
    lines = ['# Report on a GPU', '', f'sesim_mmagic {__version__}, PyTorch {torch.__version__}']
    if args.device == 'cpu':
        lines += ['', 'No GPU was used: narrow networks on the CPU, numbers that mean nothing.']
    else:
        card = torch.cuda.get_device_properties(0)
        lines[-1] += f', CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}'
        memory = f'{card.total_memory / 2**30:.0f} GiB'
        lines += ['', f'{torch.cuda.device_count()} x {card.name}, {memory} each']
    lines += ['', f'Python {platform.python_version()}, {platform.platform()}']
    lines += ['', f'`--minutes {args.minutes:g}`, a reference: {args.reference or "none"}.']
    return lines


def run(report: Report, title: str, jobs: list[Job], end: float) -> None:
    """Do the jobs of a part until its time is over, each in a process of its own."""
    for job in jobs:
        left = end - time.monotonic()
        try:
            if left < 1:
                raise RuntimeError('no time was left')
            rows = in_time(min(left, job.seconds), job.function, *job.arguments)
            report.add(title, *({**job.row, **row} for row in rows))
        except RuntimeError as error:
            report.add(title, {**job.row, 'not measured': str(error).replace('|', '/')})


@command_line.command()
def main(argv: list[str] | None = None) -> None:
    """Run the parts and write the report."""
    args = parse_args(argv)
    command_line.check_out(args.out, args.overwrite)
    if args.device == 'cuda' and not torch.cuda.is_available():
        raise command_line.CommandError('PyTorch finds no GPU; --device cpu tries the report')
    NEW_PROCESS.set_forkserver_preload(['gpu_parts', 'plain', 'losses'])
    end = time.monotonic() + 60 * args.minutes
    report = Report(args.out, introduction(args))
    parts = [part for part in SHARES if part in args.parts]
    for number, part in enumerate(parts):
        begin, title = time.monotonic(), gpu_parts.TITLES[part]
        share = SHARES[part] / sum(SHARES[later] for later in parts[number:])
        try:
            jobs = gpu_parts.JOBS[part](args, share * (end - begin), report.parts)
        except gpu_parts.Lacking as lack:
            report.add(title, {'not run': str(lack)})
            continue
        run(report, title, jobs, begin + share * (end - begin))
    print(Path(args.out).read_text())


if __name__ == '__main__':
    main()
