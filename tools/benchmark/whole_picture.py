"""Memory and time of translating whole pictures: python tools/benchmark/whole_picture.py.

    python tools/benchmark/whole_picture.py [--config CONFIG] [--sides 1024 2048 4096]
        [--styles 1] [--dtype float32] [--strips 0 256]

With ``--strips`` maps are computed in strips of so many rows, 0 means whole maps. A multi-modal
translator makes as many translations as ``--styles`` says, and lets each of them go. Random weights
and square pictures of random pixels: what is measured depends on neither. Each run has a process
of its own; on the CPU its memory is the peak of the process less what it held before.
"""

import argparse
import time
from itertools import product
from pathlib import Path

from sesim_mmagic.apis import command_line

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'configs/single_image/fsesim_stylegan2_1xb16-50kiters_pair.py'


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--config', default=str(CONFIG), help='config of a translator')
    parser.add_argument('--sides', type=int, nargs='+', default=[1024, 2048, 4096])
    parser.add_argument('--styles', type=int, nargs='+', default=[1], help='of one picture')
    parser.add_argument('--dtype', choices=('float32', 'bfloat16', 'float16'), default='float32')
    parser.add_argument(
        '--strips', type=int, nargs='+', default=[0], help='rows of a strip, 0: whole maps'
    )
    return parser.parse_args()


def measure(config: str, side: int, styles: int, rows: int, dtype: str) -> tuple[str, float, float]:
    """Translate one picture: the device, gigabytes above the model, seconds."""
    import torch
    from measuring import forget_peak, peak_mb
    from mmengine.device import get_device
    from mmengine.registry import init_default_scope

    from sesim_mmagic.apis.config_files import read_config
    from sesim_mmagic.apis.inference.forward import translations
    from sesim_mmagic.registry import MODELS

    cfg = read_config(config)
    init_default_scope(cfg.default_scope)
    settings = {**cfg.model, 'discriminator': None, 'structure_loss': None}
    if 'structure_identity_weight' in settings:
        settings['structure_identity_weight'] = 0.0
    device, dtype = get_device(), getattr(torch, dtype)
    model = MODELS.build(settings).to(device, dtype).eval()
    image = torch.rand(1, 3, side, side, device=device, dtype=dtype) * 2 - 1
    drawn = torch.randn(styles, model.style_channels).to(image) if model.style_channels else None
    before, begin = forget_peak(device), time.perf_counter()
    with torch.no_grad():
        target, strip_pixels = model.check_target(None), rows * side or None
        for part in translations(model, image, target, drawn, strip_pixels):
            part.sum().item()
    return device, (peak_mb(device, before) or 0) / 1024, time.perf_counter() - begin


@command_line.command()
def main() -> None:
    """Print a table, line by line."""
    args = parse_args()
    from measuring import Worker, table

    for number, run in enumerate(product(args.sides, args.styles, args.strips)):
        with Worker() as worker:
            device, gigabytes, seconds = worker.ask(measure, args.config, *run, args.dtype)
        row = dict(zip(('side', 'styles', 'strips'), run, strict=True), device=device)
        lines = table([{**row, f'GB above the {args.dtype} model': gigabytes, 's': seconds}])
        print(lines if number == 0 else lines.splitlines()[-1], flush=True)


if __name__ == '__main__':
    main()
