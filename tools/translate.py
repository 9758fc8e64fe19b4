"""Translate pictures: python tools/translate.py CONFIG CHECKPOINT PICTURES --out DIR."""

import argparse
import sys
from pathlib import Path

from sesim_mmagic.apis import init_translator, list_pictures, translate
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


def main(argv=None):
    """Translate with a progress line."""
    parser, args = parse_args(argv)
    try:
        outputs = name_outputs(list_pictures(args.pictures), args.out)
        model = init_translator(args.config, args.checkpoint, args.device)
        translations = translate(model, outputs.values(), args.target_domain)
        for done, (output, picture) in enumerate(zip(outputs, translations, strict=True), 1):
            write_picture(output, picture)
            if sys.stdout.isatty():
                print(f'\r{done}/{len(outputs)}', end='', flush=True)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    print(f'\r{len(outputs)} translations saved in {args.out}')


if __name__ == '__main__':
    main()
