"""Translate pictures: python tools/translate.py CONFIG CHECKPOINT PICTURES --out DIR.

A multi-modal model translates each into several styles: drawn ones (--styles N), those of other
pictures (--reference PICTURE ...), or some between two of them (--interpolate N).
"""

import argparse
import sys
from pathlib import Path

import torch

from sesim_mmagic.apis import (
    encode_style,
    init_translator,
    list_pictures,
    translate,
    translate_into_styles,
)
from sesim_mmagic.engine import write_report
from sesim_mmagic.engine.pictures import write_picture


def parse_args(argv=None):
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Translate a picture or a folder of pictures.')
    parser.add_argument('config', help='config that the checkpoint was trained with')
    parser.add_argument('checkpoint', help='checkpoint file or URL')
    parser.add_argument('pictures', help='picture, or folder of pictures')
    parser.add_argument(
        '--out',
        required=True,
        help='folder for the translations, PNG files named after their sources',
    )
    parser.add_argument(
        '--target-domain', help='domain to translate into, where the model has several'
    )
    parser.add_argument(
        '--device', help="for example 'cpu' or 'cuda:1'; by default the accelerator if there is one"
    )
    styles = parser.add_argument_group('styles of a multi-modal model')
    styles.add_argument('--styles', type=int, metavar='N', help='draw N styles from N(0, I)')
    styles.add_argument('--seed', type=int, default=0, help='fixes the styles that are drawn')
    styles.add_argument(
        '--reference', nargs='+', metavar='PICTURE', help='styles of pictures of the target domain'
    )
    styles.add_argument(
        '--interpolate', type=int, metavar='N', help='N styles from the first of two to the second'
    )
    return parser, parser.parse_args(argv)


def name_outputs(sources, out):
    """Give each picture a PNG file in ``out``; sources whose files would collide are refused."""
    outputs = {}
    for source in sources:
        output = Path(out, f'{source.stem}.png')
        if output in outputs:
            raise ValueError(
                f"'{outputs[output]}' and '{source}' would both be written to "
                f"'{output}'. Rename one."
            )
        if output.exists() and output.samefile(source):
            raise ValueError(
                f"'{source}' would be overwritten by its translation. Choose another --out."
            )
        outputs[output] = source
    return outputs


def choose_styles(model, args):
    """The styles that the arguments ask for, shape (N, style_channels); None for none."""
    from sesim_mmagic.translators.styles import draw_styles, interpolate_styles

    for name in ('styles', 'interpolate'):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise ValueError(f'--{name} must be positive, got {getattr(args, name)}')
    if not (args.styles or args.reference or args.interpolate):
        return None
    if args.reference:
        if args.styles:
            raise ValueError('--styles draws styles, --reference reads them: give one of the two')
        found = [encode_style(model, path, args.target_domain) for path in args.reference]
        styles = torch.stack(found)
    else:
        if not hasattr(model, 'style_channels'):
            raise ValueError(f'{type(model).__name__} has no styles to draw')
        styles = draw_styles(args.styles or 2, model.style_channels, args.seed)
    if args.interpolate:
        if len(styles) != 2:
            raise ValueError(f'--interpolate goes between two styles, not {len(styles)}')
        styles = interpolate_styles(*styles, args.interpolate)
    return styles


def write_sheet(out, outputs, count):
    """One page: each source, copied beside it, and its translations."""
    from sesim_mmagic.datasets.pictures import read_picture  # imports much of MMagic

    rows = []
    for output, source in outputs.items():
        copy = Path(out, 'inputs', output.name)
        write_picture(copy, read_picture(source))
        rows.append((source.stem, [copy, *styled(output, count)]))
    columns = ('input', *(f'style {i + 1}' for i in range(count)))
    write_report(Path(out, 'index.html'), 'Translations', columns, rows)


def styled(output, count):
    """Files of the translations of one source into several styles."""
    return [output.with_name(f'{output.stem}_{i + 1}.png') for i in range(count)]


def main(argv=None):
    """Translate with a progress line."""
    parser, args = parse_args(argv)
    try:
        outputs = name_outputs(list_pictures(args.pictures), args.out)
        model = init_translator(args.config, args.checkpoint, args.device)
        styles = choose_styles(model, args)
        if styles is None:
            found = ([p] for p in translate(model, outputs.values(), args.target_domain))
        else:
            found = translate_into_styles(model, outputs.values(), styles, args.target_domain)
        for done, (output, pictures) in enumerate(zip(outputs, found, strict=True), 1):
            files = [output] if styles is None else styled(output, len(styles))
            for file, picture in zip(files, pictures, strict=True):
                write_picture(file, picture)
            if sys.stdout.isatty():
                print(f'\r{done}/{len(outputs)}', end='', flush=True)
        if styles is not None:
            write_sheet(args.out, outputs, len(styles))
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    each = '' if styles is None else f', each in {len(styles)} styles'
    print(f'\r{len(outputs)} pictures translated{each}: {args.out}')


if __name__ == '__main__':
    main()
