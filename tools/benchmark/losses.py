"""Time and memory of the spatially-correlative loss against the loop over patches.

    python tools/benchmark/losses.py [--device cuda] [--repeats 7] [--out losses.json]

One measurement is forward and backward of the FSeSim distance on maps of the size that VGG16
gives for a 256 x 256 picture (relu3_1, relu4_1, relu4_3) and 256 patches. The loop cuts every
query's window out of the map and stacks the windows, (B N, C, patch^2), as published code does.
Both are run in turn, so that a busy machine slows both; peak memory comes from a process of its
own for each.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F

from sesim_mmagic.functional import sample_positions, self_similarity, spatial_distance

SHAPES = ((1, 256, 64, 64), (1, 512, 32, 32), (1, 512, 32, 32))
NUM_PATCHES = 256
PATCH_SIZES = (32, 64)


def looped_self_similarity(features, positions, patch_size):
    """Normalised self-similarity maps, one window after the other."""
    batch, channels, height, width = features.shape
    features = features - features.mean(dim=(2, 3), keepdim=True)
    features = F.normalize(features, dim=1)
    queries = features.flatten(2)[:, :, positions].transpose(1, 2)
    if patch_size >= height or patch_size >= width:
        return queries.bmm(features.flatten(2))
    windows = []
    for position in positions.tolist():
        row, column = divmod(position, width)
        top = min(max(row - patch_size // 2, 0), height - patch_size)
        left = min(max(column - patch_size // 2, 0), width - patch_size)
        windows.append(features[:, :, top : top + patch_size, left : left + patch_size])
    keys = torch.stack(windows, dim=1).reshape(batch * len(windows), channels, -1)
    maps = queries.reshape(-1, 1, channels).bmm(keys)
    return maps.view(batch, len(windows), -1)


FORMS = {'dense': self_similarity, 'loop': looped_self_similarity}


def make_inputs(device):
    """Features of a source and a translation, and query positions, for every layer."""
    generator = torch.Generator().manual_seed(0)
    layers = []
    for shape in SHAPES:
        source = torch.randn(shape, generator=generator)
        target = source + torch.randn(shape, generator=generator)
        positions = sample_positions(*shape[2:], NUM_PATCHES, generator)
        layers.append([tensor.to(device) for tensor in (source, target, positions)])
    return layers


def step(form, layers, patch_size):
    """Forward and backward; the loss and the gradients."""
    loss, leaves = 0, []
    for source, target, positions in layers:
        leaves.append(target.detach().requires_grad_())
        maps = [FORMS[form](x, positions, patch_size) for x in (source, leaves[-1])]
        loss = loss + spatial_distance(*maps)
    loss.backward()
    return loss.detach(), [leaf.grad for leaf in leaves]


def seconds(form, layers, patch_size, device):
    """Wall-clock time of one step."""
    if device == 'cuda':
        torch.cuda.synchronize()
    start = time.perf_counter()
    step(form, layers, patch_size)
    if device == 'cuda':
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak_memory(form, patch_size, device):
    """Peak memory of one step in MB above the inputs, in this process, which must be new."""
    layers = make_inputs(device)
    if device == 'cuda':
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step(form, layers, patch_size)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    # Libraries allocate when first used: let a tiny step do that before the measurement.
    step(form, [[t[..., :8, :8] if t.dim() == 4 else t[:2] % 64 for t in layers[0]]], 4)
    Path('/proc/self/clear_refs').write_text('5')  # Linux: forget the peak so far
    before = resident_megabytes('VmRSS')
    step(form, layers, patch_size)
    return resident_megabytes('VmHWM') - before


def resident_megabytes(field):
    """Memory of this process that /proc/self/status names ``field``, in MB."""
    status = Path('/proc/self/status').read_text()
    return int(status.split(f'{field}:')[1].split()[0]) / 1024


def measure(patch_size, device, repeats):
    """One row: both forms' times, the ratio pair by pair, and peak memories."""
    layers = make_inputs(device)
    values = [step(form, layers, patch_size) for form in FORMS]
    torch.testing.assert_close(*values, rtol=1e-3, atol=1e-6)
    times = {form: [] for form in FORMS}
    for _ in range(repeats):
        for form in FORMS:
            times[form].append(seconds(form, layers, patch_size, device))
    ratios = sorted(loop / dense for dense, loop in zip(*times.values(), strict=True))
    row = dict(patch_size=patch_size, device=device, threads=torch.get_num_threads())
    for form in FORMS:
        row[f'{form}_ms'] = 1000 * median(times[form])
        command = [sys.executable, __file__, '--device', device, '--memory-of', form]
        output = subprocess.run(
            [*command, str(patch_size)], check=True, capture_output=True, text=True
        )
        row[f'{form}_mb'] = float(output.stdout)
    return {**row, 'speed_up': median(ratios), 'speed_up_range': (ratios[0], ratios[-1])}


def main():
    """Measure, print a table and, if asked, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument('--repeats', type=int, default=7, help='pairs of measurements')
    parser.add_argument('--out', help='JSON file for the results')
    parser.add_argument('--memory-of', nargs=2, metavar=('FORM', 'PATCH'), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.repeats < 1:
        parser.error('--repeats must be positive')
    if args.memory_of:
        form, patch_size = args.memory_of
        print(peak_memory(form, int(patch_size), args.device))
        return
    rows = [measure(patch_size, args.device, args.repeats) for patch_size in PATCH_SIZES]
    print('patch   dense          loop           speed-up (range)       peak MB dense / loop')
    for row in rows:
        low, high = row['speed_up_range']
        print(
            f'{row["patch_size"]:5d}   {row["dense_ms"]:8.1f} ms    {row["loop_ms"]:8.1f} ms   '
            f'{row["speed_up"]:6.1f} ({low:.1f} to {high:.1f})       '
            f'{row["dense_mb"]:8.0f} / {row["loop_mb"]:.0f}'
        )
    if args.out:
        from sesim_mmagic.engine.files import write_atomically

        write_atomically(Path(args.out), json.dumps(rows, indent=2) + '\n')


if __name__ == '__main__':
    main()
