"""Translate pictures and videos: python tools/translate.py INPUT ... --model MODEL --out DIR.

The same command goes on where it was interrupted. It ends with 0; with 1 if some inputs could not
be translated, which are listed and noted in failed.json; with 2 if it cannot work at all.

A multi-modal model translates each into several styles: drawn ones (--styles N), those of other
pictures (--reference PICTURE ...), or some between two of them (--interpolate N).
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sesim_mmagic.apis import command_line
from sesim_mmagic.apis.inference import PRECISIONS, STRIP_PIXELS

_MOST_REASONS = 20


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Translate pictures and videos.')
    add = parser.add_argument
    add(
        'inputs',
        nargs='+',
        metavar='INPUT',
        help="picture, video, folder (with those inside it) or pattern such as 'photos/**/*.jpg'",
    )
    add('--model', required=True, help='name of a released model, file or URL of a checkpoint')
    add('--config', help='config of the checkpoint, if it does not hold its own')
    add('--out', required=True, help='folder for the translations, named after their sources')
    add('--target-domain', help='domain to translate into, where the model has several')
    again = 'translate again what --out holds; translations by another model are removed'
    add('--overwrite', action='store_true', help=again)
    _add_speed(parser.add_argument_group('speed and memory'))
    add = parser.add_argument_group('styles of a multi-modal model').add_argument
    add('--styles', type=int, metavar='N', help='draw N styles from N(0, I)')
    add('--seed', type=int, help='fixes the styles that are drawn (default: 0)')
    add('--reference', nargs='+', metavar='PICTURE', help='styles of pictures of the target domain')
    add('--interpolate', type=int, metavar='N', help='N styles from the first of two to the second')
    return parser.parse_args(argv)


def _add_speed(group: Any) -> None:
    add = group.add_argument
    add('--device', help="such as 'cpu' or 'cuda:1'; by default the accelerator if there is one")
    add(
        '--precision',
        choices=PRECISIONS,
        default='float32',
        help='what to compute in where it is safe; float16 needs an accelerator',
    )
    add('--batch-size', type=int, default=1, metavar='N', help='pictures of one size at once')
    add(
        '--channels-last',
        action=argparse.BooleanOptionalAction,
        help='memory layout of images (default: on the CPU)',
    )
    add('--compile', action='store_true', help='compile the generator')
    add(
        '--strip-pixels',
        type=int,
        default=STRIP_PIXELS,
        metavar='N',
        help='compute larger pictures in strips of about N pixels, to the same result; 0 for '
        f'never (default: {STRIP_PIXELS})',
    )
    command_line.add_max_image_pixels(group)


def choose_styles(inferencer: Any, args: argparse.Namespace) -> Any:
    """The styles that the arguments ask for, shape (N, style_channels); None for none."""
    import torch

    from sesim_mmagic.translators.styles import draw_styles, interpolate_styles

    for name in ('styles', 'interpolate'):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise ValueError(f'--{name} must be positive, got {getattr(args, name)}')
    if args.styles and args.reference:
        raise ValueError('--styles draws styles, --reference reads them: give one of the two')
    if args.seed is not None and (args.reference or not (args.styles or args.interpolate)):
        raise ValueError('--seed fixes the styles that are drawn: give --styles with it')
    if args.reference:
        styles = [inferencer.encode_style(path, args.target_domain) for path in args.reference]
        styles = torch.stack(styles)
    elif args.styles or args.interpolate:
        inferencer.model.check_styled()
        styles = draw_styles(args.styles or 2, inferencer.model.style_channels, args.seed or 0)
    else:
        return None
    if not args.interpolate:
        return styles
    if len(styles) != 2:
        raise ValueError(f'--interpolate goes between two styles, not {len(styles)}')
    return interpolate_styles(*styles, args.interpolate)


def write_sheet(page: Path, predictions: list[dict], count: int, max_pixels: int | None) -> None:
    """Write one page: each picture, copied beside it, and its translations.

    The copies lie in a hidden folder: what looks for translations takes none of them for one.
    """
    from sesim_mmagic.engine import write_report
    from sesim_mmagic.engine.pictures import write_picture
    from sesim_mmagic.utils.images import read_picture

    out, rows = page.parent, []
    for found in predictions:
        files = [Path(file) for file in found['outputs']]
        if found['status'] == 'failed' or files[0].suffix != '.png':
            continue
        # Beside the page, so that it can be moved; without the number of the style.
        name = files[0].relative_to(out).with_name(f'{files[0].stem.removesuffix("_1")}.png')
        copy = out / '.inputs' / name
        write_picture(copy, read_picture(found['source'], max_pixels=max_pixels))
        rows.append((name.with_suffix('').as_posix(), [copy, *files]))
    columns = ('input', *(f'style {i + 1}' for i in range(count)))
    write_report(page, 'Translations', columns, rows)


def summarize(predictions: list[dict], out: Path, count: int | None) -> None:
    """Say what was done and what could not be."""
    from sesim_mmagic.utils.listing import FAILURES

    number = Counter(found['status'] for found in predictions)
    each = '' if count is None else f', each in {count} styles'
    there = f' ({number["skipped"]} were there already)' if number['skipped'] else ''
    print(f'{number["translated"]} inputs translated{each}{there}: {out}')
    if number['failed']:
        failed = [found for found in predictions if found['status'] == 'failed']
        lines = [f'  {found["source"]}: {found["reason"]}' for found in failed[:_MOST_REASONS]]
        if len(failed) > _MOST_REASONS:
            lines.append(f'  and {len(failed) - _MOST_REASONS} more')
        head = f'{len(failed)} could not be translated, see {out / FAILURES}:'
        print(head, *lines, sep='\n', file=sys.stderr)


@command_line.command('the same command goes on from here')
def main(argv: Sequence[str] | None = None) -> int:
    """Translate; return the exit code."""
    args = parse_args(argv)
    from sesim_mmagic.apis import SeSimInferencer
    from sesim_mmagic.apis.inference.inputs import find_inputs
    from sesim_mmagic.engine.cpu import bfloat16_speed, keep_freed_memory
    from sesim_mmagic.engine.report import page_failure
    from sesim_mmagic.utils.listing import SHEET

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
    if inferencer.device.type == 'cpu':
        keep_freed_memory()
        # In float32 convolutions take half of their usual time, in bfloat16 all of it.
        if args.precision == 'bfloat16' and (speed := bfloat16_speed()) < 2:
            print(
                f'--precision bfloat16: this processor takes {2 / speed:.1f} times as long in it '
                'as in float32; leave it out',
                file=sys.stderr,
            )
    styles, out = choose_styles(inferencer, args), Path(args.out)
    count = None if styles is None else len(styles)
    predictions = inferencer(
        args.inputs,
        out,
        target_domain=args.target_domain,
        styles=styles,
        batch_size=args.batch_size,
        overwrite=args.overwrite,
    )['predictions']
    code = max(found['status'] == 'failed' for found in predictions)
    if count is not None:
        try:
            write_sheet(out / SHEET, predictions, count, args.max_image_pixels)
        except Exception as error:  # whatever a page meets, the translations are there
            print(page_failure(out / SHEET, error), file=sys.stderr)
            code = 1
    summarize(predictions, out, count)
    return int(code)


if __name__ == '__main__':
    sys.exit(main())
