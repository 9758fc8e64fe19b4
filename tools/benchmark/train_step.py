"""Time, memory and multiply-adds of training steps, beside each other or the authors' own code.

    python tools/benchmark/train_step.py CONFIG [CONFIG ...] [--reference F-LSeSim]
        [--reference-precision amp] [--device cuda] [--sizes 256] [--batch 1] [--precision amp]
        [--channels-last] [--compile] [--repeats 7] [--out train_step.json]

A step is ``model.train_step`` on random pictures as a data loader gives them, with the optimizers
of the config and random VGG16 weights. The configs take turns, and ratios to the first are taken
round by round: a busy machine slows all of them. With ``--reference``, a checkout of
github.com/lyndonzheng/F-LSeSim, each config takes turns with the step of the authors instead
(``set_input`` and ``optimize_parameters``): in float32, as it is, or with
``--reference-precision amp`` under bfloat16 autocast. Each step has a process of its own, and only
one runs at a time.

Peak memory of the measured steps is what PyTorch allocated on a GPU, weights included; on the CPU
it is how much the process has grown since the model was built. The floor of a step is the time of
its own convolutions and matrix products alone, in the same shapes, type and layout, taken in the
same rounds.
"""

import argparse
from pathlib import Path

from measuring import add_arguments

from sesim_mmagic.apis import command_line


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line, with what can be said about it without PyTorch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    positive = command_line.whole_number(1)
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='config files')
    add_arguments(parser)
    text = 'sides of pictures'
    parser.add_argument('--sizes', type=positive, nargs='+', default=[256], help=text)
    parser.add_argument('--batch', type=positive, default=1, help='pictures in a batch')
    parser.add_argument('--precision', choices=('fp32', 'amp'), default='fp32', help='of ours')
    text = 'of the reference; fp32 unless given'
    parser.add_argument('--reference-precision', choices=('fp32', 'amp'), help=text)
    parser.add_argument('--channels-last', action='store_true', help='memory format of ours')
    parser.add_argument('--compile', action='store_true', help='torch.compile for ours')
    text = 'rounds before the measured ones'
    parser.add_argument('--warmup', type=command_line.whole_number(0), default=2, help=text)
    text = "threads of the CPU; PyTorch's own choice"
    parser.add_argument('--threads', type=positive, help=text)
    command_line.add_cfg_options(parser)
    return parser.parse_args(argv)


if __name__ == '__main__':
    command_line.answer_first(parse_args)


import os

import torch
from authors import AuthorsStep
from measuring import write_json
from ours import OurStep
from steps import Method, measure, report

from sesim_mmagic.apis.config_files import apply_options, read_config

MODES = {'sesim_mmagic.FSeSimLoss': 'fixed', 'sesim_mmagic.LSeSimLoss': 'learned'}


def methods_of(args: argparse.Namespace, config: str, size: int) -> list[Method]:
    """Our step of a config, and the authors' if there is a reference."""
    cfg = read_config(config)
    apply_options(cfg, args.cfg_options)
    loss = cfg.model.get('structure_loss') or {}
    mode = MODES.get(loss.get('type'))
    if args.reference and (mode is None or 'source_domain' not in cfg.model):
        raise command_line.CommandError(
            f"'{config}' has no counterpart in the reference, which trains one generator with one "
            f'of {", ".join(MODES)}; its model is {cfg.model.type} with structure_loss '
            f'{loss.get("type")}'
        )
    single_image = cfg.model.generator.type == 'sesim_mmagic.StyleGAN2Generator'
    augmented = mode == 'learned' and loss.get('use_augmented_view', True)
    known = dict(cfg=cfg, mode=mode, augmented=augmented, single_image=single_image)
    known['autocast'] = args.reference_precision == 'amp'
    spec = {**vars(args), **known, 'size': size}
    ours = (f'{Path(config).stem}, {size} px', OurStep, spec)
    return [ours, (f'authors, {size} px', AuthorsStep, spec)] if args.reference else [ours]


@command_line.command()
def main(argv: list[str] | None = None) -> None:
    """Measure, print tables and, if asked, write JSON."""
    args = parse_args(argv)
    command_line.check_out(args.out, args.overwrite)
    args.threads = args.threads or torch.get_num_threads()
    if args.reference_precision and not args.reference:
        raise command_line.CommandError('--reference-precision needs --reference')
    if args.device == 'cuda' and not torch.cuda.is_available():
        raise command_line.CommandError('--device cuda: PyTorch finds no GPU')
    if args.device == 'cpu':  # to the workers too: mixed precision asks whether there is a GPU
        os.environ['CUDA_VISIBLE_DEVICES'] = ''
    device = torch.cuda.get_device_name() if args.device == 'cuda' else 'cpu'
    settings = {**vars(args), 'device_name': device, 'torch': torch.__version__}
    print(', '.join(f'{key} {value}' for key, value in settings.items() if value))
    groups = []
    for size in args.sizes:
        each = [methods_of(args, config, size) for config in args.configs]
        groups += each if args.reference else [sum(each, [])]
    settings['results'] = []
    for methods in groups:
        settings['results'].append(measure(methods))
        print(report(settings['results'][-1]), flush=True)
    write_json(args.out, settings)


if __name__ == '__main__':
    main()
