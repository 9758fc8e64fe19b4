"""Export a generator: python tools/export.py --model CHECKPOINT --format onnx --out FILE.

The file takes pictures of any size, as float32 in [-1, 1]; what to do before and after is
described in it. It is compared with the model before it is written.
"""

import argparse
from collections.abc import Sequence

from sesim_mmagic.apis import command_line
from sesim_mmagic.apis.export import FORMATS


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Export a generator to ONNX or torch.export.')
    parser.add_argument(
        '--model', required=True, help='checkpoint file, or name of a released model'
    )
    parser.add_argument('--config', help='config, where the checkpoint does not hold its own')
    parser.add_argument('--format', required=True, choices=FORMATS, help='what to write')
    command_line.add_out(parser, required=True, help='file to write')
    parser.add_argument(
        '--target-domain', help='domain to translate into, where the model has several'
    )
    parser.add_argument('--opset', type=int, default=18, help="version of ONNX's operators")
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        metavar=('HEIGHT', 'WIDTH'),
        help='fix the size of pictures, which generators with noise need; by default any size',
    )
    parser.add_argument(
        '--time', action='store_true', help='compare the speed with PyTorch on one CPU thread'
    )
    return parser.parse_args(argv)


@command_line.command()
def main(argv: Sequence[str] | None = None) -> None:
    """Export, and say how far the file is from the model."""
    args = parse_args(argv)
    command_line.check_out(args.out, args.overwrite)
    from sesim_mmagic.apis import init_translator, resolve_model
    from sesim_mmagic.apis.export.exporter import export_translator, time_export

    checkpoint = resolve_model(args.model)
    model = init_translator(args.config, checkpoint, 'cpu')
    metadata = export_translator(
        model, args.out, args.format, args.target_domain, args.size, args.opset, checkpoint
    )
    check = metadata['check']
    sizes = ', '.join(dict.fromkeys('{} x {}'.format(*size) for size in check['sizes']))
    print(f'Written: {args.out} ({metadata["source_domain"]} to {metadata["target_domain"]})')
    print(f'Largest difference from the model: {check["max_abs_difference"]:.2g} ({sizes})')
    if args.time:
        seconds = time_export(args.out, model)
        print(f'One CPU thread: PyTorch {seconds[0]:.3f} s, {args.format} {seconds[1]:.3f} s')


if __name__ == '__main__':
    main()
