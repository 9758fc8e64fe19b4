"""Time and memory of the spatially-correlative losses against a loop over patches.

    python tools/benchmark/losses.py [--reference F-LSeSim] [--device cuda] [--repeats 7]
        [--out losses.json]

One measurement is forward and backward of the generator's loss on maps of the size that VGG16
gives for a 256 x 256 picture (relu3_1, relu4_1, relu4_3) and 256 patches: FSeSim at patch sizes 32
and 64, and LSeSim with its heads at 32. The loop cuts every query's window out of the map and
stacks the windows, (B N, C, patch^2), as published code does; with ``--reference``, a checkout of
github.com/lyndonzheng/F-LSeSim, it is the authors' own loss. Both are run in turn, so that a busy
machine slows both; their values and gradients must agree. Peak memory comes from a process of its
own for each.
"""

import argparse

from sesim_mmagic.apis import command_line


def parse_args():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument('--reference', help="folder of the authors' code, F-LSeSim")
    parser.add_argument('--repeats', type=int, default=7, help='pairs of measurements')
    command_line.add_out(parser, help='JSON file for the results')
    args = parser.parse_args()
    if args.repeats < 1:
        parser.error('--repeats must be positive')
    return args


if __name__ == '__main__':
    command_line.answer_first(parse_args)


import json
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from reference_step import is_reference, reference_loss
from step_workers import resident_megabytes

from sesim_mmagic.losses import FSeSimLoss, LSeSimLoss

SHAPES = ((1, 256, 64, 64), (1, 512, 32, 32), (1, 512, 32, 32))
# Processes are forked from one that has imported what takes seconds, and computed nothing.
NEW_PROCESS = multiprocessing.get_context('forkserver')
NEW_PROCESS.set_forkserver_preload(['sesim_mmagic', 'mmagic.models', 'sesim_mmagic.losses'])
FEATURE_NET = dict(type='sesim_mmagic.VGG16Features', pretrained=None, seed=0)
# Name, class and patch size of what is measured.
LOSSES = (
    ('FSeSim', FSeSimLoss, 32),
    ('FSeSim', FSeSimLoss, 64),
    ('LSeSim', LSeSimLoss, 32),
)


class Looped:
    """Makes a loss build its maps one window after the other."""

    def _similarity(self, features, positions):
        batch, channels, height, width = features.shape
        side = self.patch_size
        features = features - features.mean(dim=(2, 3), keepdim=True)
        features = F.normalize(features, dim=1)
        queries = features.flatten(2)[:, :, positions].transpose(1, 2)
        if side >= height or side >= width:
            return queries.bmm(features.flatten(2))
        windows = []
        for position in positions.tolist():
            row, column = divmod(position, width)
            top = min(max(row - side // 2, 0), height - side)
            left = min(max(column - side // 2, 0), width - side)
            windows.append(features[:, :, top : top + side, left : left + side])
        keys = torch.stack(windows, dim=1).reshape(batch * len(windows), channels, -1)
        maps = queries.reshape(-1, 1, channels).bmm(keys)
        return maps.view(batch, len(windows), -1)


def make_loss(index, form, device, reference):
    """A function of two lists of maps: ours, the loop, or the authors' loss with our heads."""
    _, kind, patch_size = LOSSES[index]
    torch.manual_seed(0)
    if form == 'loop' and not reference:
        kind = type('LoopedLoss', (Looped, kind), {})
    loss = kind(patch_size=patch_size, loss_weight=1.0, feature_net=FEATURE_NET).to(device)
    if form == 'loop' and reference:
        return reference_loss(reference, loss)
    return loss.compare


def make_inputs(device):
    """Features of a source and of a translation, for every layer."""
    generator = torch.Generator().manual_seed(0)
    source = [torch.randn(shape, generator=generator) for shape in SHAPES]
    target = [features + torch.randn(features.shape, generator=generator) for features in source]
    return [[features.to(device) for features in look] for look in (source, target)]


def step(loss, inputs):
    """Forward and backward; the value and the gradients."""
    source, target = inputs
    leaves = [features.detach().requires_grad_() for features in target]
    torch.manual_seed(1)  # the same queries for all
    value = loss(source, leaves)
    value.backward()
    return value.detach(), [leaf.grad for leaf in leaves]


def seconds(loss, inputs, device):
    """Wall-clock time of one step."""
    if device == 'cuda':
        torch.cuda.synchronize()
    start = time.perf_counter()
    step(loss, inputs)
    if device == 'cuda':
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak_memory(index, form, device, reference):
    """Peak memory of one step in MB above the inputs, in this process, which must be new."""
    loss, inputs = make_loss(index, form, device, reference), make_inputs(device)
    if device == 'cuda':
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step(loss, inputs)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    # Libraries allocate when first used: let a small step do that before the measurement.
    step(loss, [[features[..., :8, :8] for features in look] for look in inputs])
    Path('/proc/self/clear_refs').write_text('5')  # Linux: forget the peak so far
    before = resident_megabytes('VmRSS')
    step(loss, inputs)
    return resident_megabytes('VmHWM') - before


def measure(index, args):
    """One row: both forms' times, the ratio pair by pair, and peak memories."""
    inputs = make_inputs(args.device)
    forms = {f: make_loss(index, f, args.device, args.reference) for f in ('dense', 'loop')}
    values = [step(loss, inputs) for loss in forms.values()]
    torch.testing.assert_close(*values, rtol=1e-3, atol=1e-6)
    times = {form: [] for form in forms}
    for _ in range(args.repeats):
        for form, loss in forms.items():
            times[form].append(seconds(loss, inputs, args.device))
    ratios = sorted(loop / dense for dense, loop in zip(*times.values(), strict=True))
    name, _, patch_size = LOSSES[index]
    row = dict(loss=name, patch_size=patch_size, device=args.device)
    row.update(threads=torch.get_num_threads(), reference=bool(args.reference))
    for form in forms:
        row[f'{form}_ms'] = 1000 * median(times[form])
        with ProcessPoolExecutor(1, mp_context=NEW_PROCESS) as pool:
            memory = pool.submit(peak_memory, index, form, args.device, args.reference)
            row[f'{form}_mb'] = memory.result()
    return {**row, 'speed_up': median(ratios), 'speed_up_range': (ratios[0], ratios[-1])}


@command_line.command()
def main():
    """Measure, print a table and, if asked, write JSON."""
    args = parse_args()
    command_line.check_out(args.out, args.overwrite)
    if args.reference and not is_reference(args.reference):
        raise command_line.CommandError(
            f"--reference '{args.reference}' holds no models/sc_model.py"
        )
    rows = [measure(index, args) for index in range(len(LOSSES))]
    other = 'authors' if args.reference else 'loop'
    print(
        f'loss    patch     dense   {other:>9s}   speed-up (range)        peak MB dense / {other}'
    )
    for row in rows:
        low, high = row['speed_up_range']
        print(
            f'{row["loss"]}   {row["patch_size"]:4d}   {row["dense_ms"]:6.1f} ms '
            f'{row["loop_ms"]:7.1f} ms   {row["speed_up"]:6.1f} ({low:.1f} to {high:.1f})       '
            f'{row["dense_mb"]:8.0f} / {row["loop_mb"]:.0f}'
        )
    if args.out:
        from sesim_mmagic.utils.files import write_atomically

        write_atomically(Path(args.out), json.dumps(rows, indent=2) + '\n')


if __name__ == '__main__':
    main()
