"""Make a checkpoint of published files of CycleGAN, CUT, FastCUT or F-LSeSim.

    python tools/converters/to_sesim.py latest_net_G.pth latest_net_D.pth latest_net_F.pth \\
        --source horse --target zebra --out horse2zebra.pth

What each file holds is told from its tensors. The checkpoint holds its config: it translates with
``init_translator(None, 'horse2zebra.pth')``.
"""

import argparse
import io

from sesim_mmagic.apis import command_line
from sesim_mmagic.utils.files import write_atomically


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'files', nargs='+', help='a generator, maybe its discriminator, maybe heads (F)'
    )
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
        help="layers that F looks at, where they are not the authors' default: names of VGG16's "
        "(relu3_1 ...) or numbers of the generator's (0 4 ...)",
    )
    parser.add_argument(
        '--tanh',
        action=argparse.BooleanOptionalAction,
        help='whether a tanh ends a StyleGAN2 generator, which its file does not tell: --tanh for '
        'files of F-LSeSim, --no-tanh for those of CUT (SinCUT)',
    )
    return parser.parse_args(argv)


def read(paths):
    from sesim_mmagic.networks.state_dicts import read_state_dict

    return {
        path: read_state_dict(path, 'published weights', 'name files such as latest_net_G.pth')
        for path in paths
    }


@command_line.command()
def main(argv=None):
    args = parse_args(argv)
    command_line.check_out(args.out, args.overwrite)
    import torch

    from sesim_mmagic.converters import join

    checkpoint, converted = join(
        read(args.files), args.source, args.target, read(args.back), args.layers, args.tanh
    )
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    write_atomically(args.out, buffer.getvalue())
    for path, network in converted.items():
        left = [
            f'{len(names)} {what} left out'
            for what, names in (
                ('constant blur kernels checked and', network.constants),
                ('unused running statistics of norms', network.statistics),
            )
            if names
        ]
        print(f'{path}: {"; ".join([str(network.variant), *left])}')
    print(f'Wrote {args.out}: {len(checkpoint["state_dict"])} tensors and their config.')


if __name__ == '__main__':
    main()
