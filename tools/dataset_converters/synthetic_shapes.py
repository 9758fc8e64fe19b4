"""Write the synthetic shapes (shapes in two styles, with truth) as an unpaired data set."""

import argparse

from sesim_mmagic.apis import command_line


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', required=True, help='folder to write, e.g. data/synthetic')
    parser.add_argument(
        '--layout',
        choices=('matched', 'mismatch'),
        default='mismatch',
        help='mismatch: few large shapes in B, many small ones in A; '
        'matched: alike in both (default: %(default)s)',
    )
    parser.add_argument('--size', type=int, default=64, help='side in pixels (%(default)s)')
    parser.add_argument(
        '--train', type=int, default=400, help='training pictures of each domain (%(default)s)'
    )
    parser.add_argument('--val', type=int, default=32, help='validation pairs (%(default)s)')
    parser.add_argument('--test', type=int, default=64, help='test pairs (%(default)s)')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--modes',
        type=int,
        default=1,
        help='looks that pictures of B are drawn from, 1 to 6, for multi-modal '
        'translation of A to B; modes.json says which picture has which (%(default)s)',
    )
    return parser.parse_args()


@command_line.command()
def main():
    args = parse_args()
    from sesim_mmagic.datasets.synthetic_shapes import write_shapes

    out = write_shapes(
        args.out,
        args.layout,
        size=args.size,
        num_train=args.train,
        num_test=args.test,
        seed=args.seed,
        num_val=args.val,
        modes=args.modes,
    )
    print(
        f'{out}: synthetic shapes, layout {args.layout}, {args.train} + {args.train} training '
        f'pictures, {args.val} validation and {args.test} test pairs of {args.size} x {args.size} '
        'pixels' + (f', {args.modes} modes of B.' if args.modes > 1 else '.')
    )


if __name__ == '__main__':
    main()
