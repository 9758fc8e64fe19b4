"""Make a checkpoint of published files of CycleGAN, CUT, FastCUT or F-LSeSim.

    python tools/model_converters/to_sesim.py latest_net_G.pth latest_net_D.pth latest_net_F.pth \\
        --source horse --target zebra --out horse2zebra.pth

What each file holds is told from its tensors. The checkpoint holds its config: it translates with
``init_translator(None, 'horse2zebra.pth')``.
"""

import argparse
from collections.abc import Sequence

from sesim_mmagic.apis import command_line


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('files', nargs='+', help='generator, maybe discriminator, maybe heads (F)')
    parser.add_argument(
        '--back',
        nargs='+',
        default=[],
        metavar='FILE',
        help="generator and maybe discriminator from target to source: CycleGAN's G_B and D_B",
    )
    parser.add_argument('--source', required=True, help='name of the source domain, e.g. horse')
    parser.add_argument('--target', required=True, help='name of the target domain, e.g. zebra')
    command_line.add_out(parser, required=True, help='checkpoint to write')
    parser.add_argument(
        '--layers',
        nargs='+',
        default=[],
        help="layers whose features F sees, where they are not the authors' default: names of "
        "VGG16's (relu3_1 ...) or numbers of the generator's (0 4 ...)",
    )
    parser.add_argument(
        '--tanh',
        action=argparse.BooleanOptionalAction,
        help='whether a tanh ends a StyleGAN2 generator, which its file does not tell: --tanh for '
        'files of F-LSeSim, --no-tanh for those of CUT (SinCUT)',
    )
    return parser.parse_args(argv)


@command_line.command()
def main(argv: Sequence[str] | None = None) -> None:
    """Convert, and say what each file holds."""
    args = parse_args(argv)
    command_line.check_out(args.out, args.overwrite)
    from sesim_mmagic.converters import join
    from sesim_mmagic.utils.checkpoints import read_weights, write_checkpoint

    files, back = (
        {path: read_weights(path) for path in paths} for paths in (args.files, args.back)
    )
    checkpoint, networks = join(files, args.source, args.target, back, args.layers, args.tanh)
    write_checkpoint(args.out, checkpoint)
    for path, network in networks.items():
        print(f'{path}: {network}')
        if left_out := len({**files, **back}[path]) - len(network.tensors):
            print(f'  {left_out} tensors left out: blur kernels and running statistics of norms')
    print(f'Wrote {args.out}: {len(checkpoint["state_dict"])} tensors and their config.')


if __name__ == '__main__':
    main()
