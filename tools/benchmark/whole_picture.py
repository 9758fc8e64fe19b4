"""Memory and time of translating whole pictures: python tools/benchmark/whole_picture.py.

    python tools/benchmark/whole_picture.py [--config CONFIG] [--sides 1024 2048 4096]
        [--styles 1] [--dtype float32]

A multi-modal translator makes as many translations as ``--styles`` says, and lets each of them go.
Random weights and square pictures of random pixels: what is measured depends on neither. Each size
has a process of its own; on the CPU its memory is the peak of the process less what it held before.
"""

import argparse
import multiprocessing
import resource
import time
from itertools import product
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'configs/single_image/fsesim_stylegan2_1xb16-50kiters_pair.py'


def parse_args():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--config', default=str(CONFIG), help='config of a translator')
    parser.add_argument('--sides', type=int, nargs='+', default=[1024, 2048, 4096])
    parser.add_argument('--styles', type=int, nargs='+', default=[1], help='of one picture')
    parser.add_argument('--dtype', choices=('float32', 'bfloat16', 'float16'), default='float32')
    return parser.parse_args()


def measure(config, side, styles, dtype, results):
    """Translate one picture; put megabytes of the model, of the peak above it, and seconds."""
    from mmengine.config import Config
    from mmengine.device import get_device
    from mmengine.registry import init_default_scope

    from sesim_mmagic.registry import MODELS

    cfg = Config.fromfile(config)
    init_default_scope(cfg.default_scope)
    settings = {**cfg.model, 'discriminator': None, 'structure_loss': None}
    if 'structure_identity_weight' in settings:
        settings['structure_identity_weight'] = 0.0
    device, dtype = get_device(), getattr(torch, dtype)
    model = MODELS.build(settings).to(device, dtype).eval()
    image = torch.rand(1, 3, side, side, device=device, dtype=dtype) * 2 - 1
    before = _peak(device)
    begin = time.perf_counter()
    with torch.no_grad():
        if hasattr(model, 'translations'):
            drawn = torch.randn(styles, model.style_channels)
            for found in model.translations(image, drawn):
                found.sum().item()
        else:
            model(image, test_mode=True)['target'].sum().item()
    results.put((device, _peak(device) - before, time.perf_counter() - begin))


def _peak(device):
    if device == 'cuda':
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main():
    """Print a table."""
    args = parse_args()
    context = multiprocessing.get_context('spawn')
    print(f'{"side":>6} {"styles":>7} {"device":>7} {args.dtype:>9}: GB above the model, seconds')
    for side, styles in product(args.sides, args.styles):
        results = context.SimpleQueue()
        process = context.Process(
            target=measure, args=(args.config, side, styles, args.dtype, results)
        )
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(f'{side} pixels: the process ended with code {process.exitcode}')
        device, megabytes, seconds = results.get()
        size = f'{megabytes / 1024:>9.2f} GB {seconds:>8.1f} s'
        print(f'{side:>6} {styles:>7} {device:>7} {size}', flush=True)


if __name__ == '__main__':
    main()
