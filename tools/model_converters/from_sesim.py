"""Write a checkpoint as files that the authors' code of CycleGAN, CUT or F-LSeSim reads.

    python tools/model_converters/from_sesim.py work_dirs/mine/iter_1000.pth --out checkpoints/mine

writes ``latest_net_G.pth`` and, of what the checkpoint holds, ``latest_net_D.pth`` and
``latest_net_F.pth``; of two directions ``latest_net_G_A.pth`` (into the model's default domain),
``latest_net_G_B.pth`` and so on. Their code reads RGB, so weights trained on BGR have the colours
of their first and last layers exchanged.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from sesim_mmagic.apis import command_line


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('checkpoint', help='of a training, or one that to_sesim.py wrote')
    command_line.add_out(parser, required=True, help='folder to write to')
    return parser.parse_args(argv)


@command_line.command()
def main(argv: Sequence[str] | None = None) -> None:
    """Convert, and say what each file holds."""
    args = parse_args(argv)
    from sesim_mmagic.converters import split
    from sesim_mmagic.utils.checkpoints import read_checkpoint, write_checkpoint

    files, remarks = split(read_checkpoint(args.checkpoint), args.checkpoint)
    for name in files:
        command_line.check_out(Path(args.out, name), args.overwrite)
    for name, network in files.items():
        write_checkpoint(Path(args.out, name), network.tensors)
        print(f'{Path(args.out, name)}: {network}')
    for remark in remarks:
        print(remark)


if __name__ == '__main__':
    main()
