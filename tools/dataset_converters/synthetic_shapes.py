"""Write the synthetic shapes (shapes in two styles, with truth) as an unpaired data set."""

import argparse

from sesim_mmagic.apis import command_line


def parse_args():
    """Parse the command line; names are the arguments of ``write_shapes``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', required=True, help='folder to write, e.g. data/synthetic')
    parser.add_argument(
        '--layout',
        choices=('matched', 'mismatch'),
        default='mismatch',
        help='mismatch: few large shapes in B, many small ones in A; '
        'matched: alike in both (default: %(default)s)',
    )
    numbers = dict(
        size=(64, 'side in pixels'),
        train=(400, 'training pictures of each domain'),
        val=(32, 'validation pairs'),
        test=(64, 'test pairs'),
        seed=(0, 'of all draws'),
        modes=(
            1,
            'modes that pictures of B are drawn from, 1 to 6, for multi-modal translation of A to '
            'B; modes.json says which picture has which',
        ),
    )
    for name, (default, text) in numbers.items():
        text = f'{text} (%(default)s)'
        dest = f'num_{name}' if name in ('train', 'val', 'test') else name
        parser.add_argument(f'--{name}', dest=dest, type=int, default=default, help=text)
    return parser.parse_args()


@command_line.command()
def main():
    """Write the data set and say what it holds."""
    args = parse_args()
    from sesim_mmagic.datasets import write_shapes

    out = write_shapes(**vars(args))
    print(
        f'{out}: synthetic shapes, layout {args.layout}, {args.num_train} + {args.num_train} '
        f'training pictures, {args.num_val} validation and {args.num_test} test pairs of '
        f'{args.size} x {args.size} pixels'
        + (f', {args.modes} modes of B.' if args.modes > 1 else '.')
    )


if __name__ == '__main__':
    main()
