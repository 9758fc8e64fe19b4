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
from pathlib import Path

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
    if args.reference and not Path(args.reference, 'models/sc_model.py').is_file():
        parser.error(f"--reference '{args.reference}' holds no models/sc_model.py")
    return args


if __name__ == '__main__':
    command_line.answer_first(parse_args)


import torch
import torch.nn.functional as F
from authors import authors_loss
from measuring import Worker, forget_peak, peak_mb, table, write_json
from torch.utils.benchmark import timer

from sesim_mmagic.losses import FSeSimLoss, LSeSimLoss

SHAPES = ((1, 256, 64, 64), (1, 512, 32, 32), (1, 512, 32, 32))
FEATURE_NET = dict(type='sesim_mmagic.VGG16Features', pretrained=None, seed=0)
# Name, class and patch size of what is measured.
LOSSES = (
    ('FSeSim', FSeSimLoss, 32),
    ('FSeSim', FSeSimLoss, 64),
    ('LSeSim', LSeSimLoss, 32),
)
FORMS = ('dense', 'loop')


class Looped:
    """Makes a loss build its maps one window after the other."""

    def _similarity(self, features, positions):
        (height, width), side = features.shape[2:], self.patch_size
        features = F.normalize(features - features.mean(dim=(2, 3), keepdim=True), dim=1)
        queries = features.flatten(2)[:, :, positions].mT
        if side >= min(height, width):
            return queries @ features.flatten(2)
        windows = []
        for position in positions.tolist():
            row, column = divmod(position, width)
            top = min(max(row - side // 2, 0), height - side)
            left = min(max(column - side // 2, 0), width - side)
            windows.append(features[:, :, top : top + side, left : left + side].flatten(2))
        return torch.einsum('bnc,bnck->bnk', queries, torch.stack(windows, dim=1))


def make_loss(index, form, device, reference):
    """A function of two lists of maps: ours, the loop, or the authors' loss with our heads."""
    _, kind, patch_size = LOSSES[index]
    torch.manual_seed(0)
    if form == 'loop' and not reference:
        kind = type('LoopedLoss', (Looped, kind), {})
    loss = kind(patch_size=patch_size, loss_weight=1.0, feature_net=FEATURE_NET).to(device)
    if form == 'loop' and reference:
        return authors_loss(reference, loss)
    return loss.compare


def make_inputs(device):
    """Features of a source and of a translation, for every layer."""
    generator = torch.Generator().manual_seed(0)
    source = [torch.randn(shape, generator=generator) for shape in SHAPES]
    translated = [maps + torch.randn(maps.shape, generator=generator) for maps in source]
    return [[maps.to(device) for maps in features] for features in (source, translated)]


def step(loss, inputs):
    """Forward and backward; the value and the gradients."""
    source, translated = inputs
    leaves = [maps.detach().requires_grad_() for maps in translated]
    torch.manual_seed(1)  # the same queries for all
    value = loss(source, leaves)
    value.backward()
    return value.detach(), [leaf.grad for leaf in leaves]


def seconds(loss, inputs):
    """Wall-clock time of one step."""
    begin = timer()  # waits for the GPU
    step(loss, inputs)
    return timer() - begin


def peak_memory(index, form, device, reference):
    """Peak memory of one step in MB above the inputs, in this process, which must be new."""
    loss, inputs = make_loss(index, form, device, reference), make_inputs(device)
    # Libraries allocate when first used: let a small step do that before the measurement.
    step(loss, [[maps[..., :8, :8] for maps in features] for features in inputs])
    before = forget_peak(device)
    step(loss, inputs)
    return peak_mb(device, before)


def measure(index, args):
    """One row: both forms' times, the ratio pair by pair, and peak memories."""
    inputs = make_inputs(args.device)
    losses = [make_loss(index, form, args.device, args.reference) for form in FORMS]
    torch.testing.assert_close(*(step(loss, inputs) for loss in losses), rtol=1e-3, atol=1e-6)
    rounds = [[seconds(loss, inputs) for loss in losses] for _ in range(args.repeats)]
    name, _, patch_size = LOSSES[index]
    row = dict(loss=name, patch=patch_size)
    for number, form in enumerate(FORMS):
        row[f'{form} ms'] = [1000 * of_round[number] for of_round in rounds]
    row['speed-up'] = [loop / dense for dense, loop in rounds]
    for form in FORMS:
        with Worker() as worker:
            memory = worker.ask(peak_memory, index, form, args.device, args.reference)
            row[f'{form} peak MB'] = memory
    return row


@command_line.command()
def main():
    """Measure, print a table and, if asked, write JSON."""
    args = parse_args()
    command_line.check_out(args.out, args.overwrite)
    rows = [measure(index, args) for index in range(len(LOSSES))]
    print(table(rows))
    write_json(args.out, dict(vars(args), threads=torch.get_num_threads(), results=rows))


if __name__ == '__main__':
    main()
