"""Translate pictures and videos: python tools/translate.py INPUT ... --model MODEL --out DIR.

The same command goes on where it was interrupted. It ends with 0; with 1 if some inputs could not
be translated, which are listed and noted in failed.json; with 2 if it cannot work at all.

A multi-modal model translates each into several styles: drawn ones (--styles N), those of other
pictures (--reference PICTURE ...), or some between two of them (--interpolate N).
"""

import argparse
import sys
from pathlib import Path

from sesim_mmagic.apis import command_line
from sesim_mmagic.apis.inference import PRECISIONS, STRIP_PIXELS

_MOST_REASONS = 20


def parse_args(argv=None):
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Translate pictures and videos.')
    parser.add_argument(
        'inputs',
        nargs='+',
        metavar='INPUT',
        help="picture, video, folder (with those inside it) or pattern such as 'photos/**/*.jpg'",
    )
    parser.add_argument(
        '--model', required=True, help='name of a released model, file or URL of a checkpoint'
    )
    parser.add_argument('--config', help='config of the checkpoint, if it does not hold its own')
    parser.add_argument(
        '--out', required=True, help='folder for the translations, named after their sources'
    )
    parser.add_argument(
        '--target-domain', help='domain to translate into, where the model has several'
    )
    parser.add_argument(
        '--overwrite', action='store_true', help='translate again what --out holds already'
    )
    _add_speed(parser.add_argument_group('speed and memory'))
    _add_styles(parser.add_argument_group('styles of a multi-modal model'))
    return parser.parse_args(argv)


def _add_speed(group):
    group.add_argument(
        '--device', help="for example 'cpu' or 'cuda:1'; by default the accelerator if there is one"
    )
    group.add_argument(
        '--precision',
        choices=PRECISIONS,
        default='float32',
        help='what to compute in where it is safe; float16 needs an accelerator',
    )
    group.add_argument(
        '--batch-size', type=int, default=1, metavar='N', help='pictures of one size at once'
    )
    group.add_argument('--channels-last', action='store_true', help='memory layout of images')
    group.add_argument('--compile', action='store_true', help='compile the generator')
    group.add_argument(
        '--strip-pixels',
        type=int,
        default=STRIP_PIXELS,
        metavar='N',
        help='compute larger pictures in strips of about N pixels, to the same result; 0 for '
        f'never (default: {STRIP_PIXELS})',
    )
    command_line.add_max_image_pixels(group)


def _add_styles(group):
    group.add_argument('--styles', type=int, metavar='N', help='draw N styles from N(0, I)')
    group.add_argument('--seed', type=int, default=0, help='fixes the styles that are drawn')
    group.add_argument(
        '--reference', nargs='+', metavar='PICTURE', help='styles of pictures of the target domain'
    )
    group.add_argument(
        '--interpolate', type=int, metavar='N', help='N styles from the first of two to the second'
    )


def choose_styles(inferencer, args):
    """The styles that the arguments ask for, shape (N, style_channels); None for none."""
    import torch

    from sesim_mmagic.translators.styles import draw_styles, interpolate_styles

    for name in ('styles', 'interpolate'):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise ValueError(f'--{name} must be positive, got {getattr(args, name)}')
    if not (args.styles or args.reference or args.interpolate):
        return None
    if args.reference:
        if args.styles:
            raise ValueError('--styles draws styles, --reference reads them: give one of the two')
        styles = [inferencer.encode_style(path, args.target_domain) for path in args.reference]
        styles = torch.stack(styles)
    else:
        inferencer.model.check_styled()
        styles = draw_styles(args.styles or 2, inferencer.model.style_channels, args.seed)
    if args.interpolate:
        if len(styles) != 2:
            raise ValueError(f'--interpolate goes between two styles, not {len(styles)}')
        styles = interpolate_styles(*styles, args.interpolate)
    return styles


def write_sheet(out, predictions, count, max_image_pixels=None):
    """One page: each picture, copied beside it, and its translations; return whether it is there.

    The copies lie in a hidden folder: what looks for pictures in ``out`` takes none of them for a
    translation.
    """
    from sesim_mmagic.engine import write_report
    from sesim_mmagic.engine.report import page_failure

    page = Path(out, 'index.html')
    try:
        rows = _copied(out, predictions, max_image_pixels)
        columns = ('input', *(f'style {i + 1}' for i in range(count)))
        write_report(page, 'Translations', columns, rows)
        return True
    except Exception as error:  # whatever a page meets, the translations are there
        print(page_failure(page, error), file=sys.stderr)
        return False


def _copied(out, predictions, max_image_pixels):
    """Name and files of each picture and its translations, the picture copied below ``out``."""
    from sesim_mmagic.engine.pictures import write_picture
    from sesim_mmagic.utils.images import read_picture

    rows = []
    for found in predictions:
        files = [Path(file) for file in found['outputs']]
        if found['status'] == 'failed' or files[0].suffix != '.png':
            continue
        # Beside the page, so that it can be moved; without the number of the style.
        name = files[0].relative_to(out).with_name(f'{files[0].stem.removesuffix("_1")}.png')
        copy = Path(out, '.inputs', name)
        write_picture(copy, read_picture(found['source'], max_pixels=max_image_pixels))
        rows.append((name.with_suffix('').as_posix(), [copy, *files]))
    return rows


def summarize(predictions, out, count):
    """Say what was done and what could not be; return the exit code."""
    number = {status: 0 for status in ('translated', 'skipped', 'failed')}
    for found in predictions:
        number[found['status']] += 1
    each = '' if count is None else f', each in {count} styles'
    there = f' ({number["skipped"]} were there already)' if number['skipped'] else ''
    print(f'{number["translated"]} inputs translated{each}{there}: {out}')
    if not number['failed']:
        return 0
    failed = [found for found in predictions if found['status'] == 'failed']
    lines = [f'  {found["source"]}: {found["reason"]}' for found in failed[:_MOST_REASONS]]
    if len(failed) > _MOST_REASONS:
        lines.append(f'  and {len(failed) - _MOST_REASONS} more')
    print(
        f'{len(failed)} could not be translated, see {Path(out, "failed.json")}:',
        *lines,
        sep='\n',
        file=sys.stderr,
    )
    return 1


@command_line.command('the same command goes on from here')
def main(argv=None):
    """Translate; return the exit code."""
    args = parse_args(argv)
    from sesim_mmagic.apis import SeSimInferencer
    from sesim_mmagic.apis.inference.inputs import find_inputs

    # Mistakes, and what is left out, are told before the model is loaded.
    for note in find_inputs(args.inputs, args.out)[1]:
        print(note, file=sys.stderr)
    inferencer = SeSimInferencer(
        args.model,
        args.config,
        args.device,
        precision=args.precision,
        channels_last=args.channels_last,
        compile=args.compile,
        strip_pixels=args.strip_pixels or None,
        max_image_pixels=args.max_image_pixels,
    )
    styles = choose_styles(inferencer, args)
    count = None if styles is None else len(styles)
    predictions = inferencer(
        args.inputs,
        args.out,
        target_domain=args.target_domain,
        styles=styles,
        batch_size=args.batch_size,
        overwrite=args.overwrite,
    )['predictions']
    is_shown = count is None or write_sheet(args.out, predictions, count, args.max_image_pixels)
    return max(summarize(predictions, args.out, count), 0 if is_shown else 1)


if __name__ == '__main__':
    sys.exit(main())
