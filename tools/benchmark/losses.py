"""Time and memory of the spatially-correlative losses against a loop over patches.

    python tools/benchmark/losses.py [--reference F-LSeSim] [--device cuda] [--repeats 7]
        [--out losses.json]

One measurement is forward and backward of the generator's loss on maps of the size that VGG16
gives for a 256 x 256 picture (relu3_1, relu4_1, relu4_3) and 256 patches: FSeSim at patch sizes 32
and 64, and LSeSim with its heads at 32. The loop cuts every query's window out of the map and
stacks the windows, (B N, C, patch^2), as published code does; with ``--reference``, a checkout of
github.com/lyndonzheng/F-LSeSim, it is the authors' own loss. Both take turns, each in a process of
its own, so that a busy machine slows both; their values and gradients must agree.
"""

import argparse

from measuring import add_arguments

from sesim_mmagic.apis import command_line


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser)
    return parser.parse_args(argv)


if __name__ == '__main__':
    command_line.answer_first(parse_args)


import torch
import torch.nn.functional as F
from authors import authors_loss
from measuring import write_json
from steps import Step, measure, report
from torch import Tensor

from sesim_mmagic.losses import FSeSimLoss, LSeSimLoss

SHAPES = ((1, 256, 64, 64), (1, 512, 32, 32), (1, 512, 32, 32))
FEATURE_NET = dict(type='sesim_mmagic.VGG16Features', pretrained=None, seed=0)
#: Class and patch size of what is measured.
LOSSES = ((FSeSimLoss, 32), (FSeSimLoss, 64), (LSeSimLoss, 32))


class Looped:
    """Makes a loss build its maps one window after the other."""

    def _similarity(self, features: Tensor, positions: Tensor) -> Tensor:
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


class LossStep(Step):
    """Forward and backward of a loss.

    Args:
        spec (dict): ``loss`` (index in ``LOSSES``), ``dense`` (whether it is ours; else it is the
            loop, or the authors' with our heads if there is a ``reference``), ``num_patches``
            (queries), ``shapes`` of the layers' maps, and what every step takes.
    """

    def __init__(self, spec: dict) -> None:
        super().__init__(spec)
        kind, patch_size = LOSSES[spec['loss']]
        reference = None if spec['dense'] else spec['reference']
        if not spec['dense'] and not reference:
            kind = type('LoopedLoss', (Looped, kind), {})
        torch.manual_seed(0)
        settings = dict(patch_size=patch_size, num_patches=spec['num_patches'], loss_weight=1.0)
        loss = kind(**settings, feature_net=FEATURE_NET)
        loss = loss.to(spec['device'])
        self.compare = authors_loss(reference, loss) if reference else loss.compare
        pairs = [torch.randn(2, *shape).cumsum(dim=0) for shape in spec['shapes']]
        self.pairs = [pair.to(spec['device']) for pair in pairs]
        # Libraries allocate when first used: let a small step do that before the measurement.
        self.outcome([maps[..., :8, :8] for maps in self.pairs])

    def outcome(self, pairs: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Value and gradients for maps of a source and a translation, a pair a layer."""
        leaves = [translated.detach().requires_grad_() for _, translated in pairs]
        torch.manual_seed(1)  # the same queries for all
        value = self.compare([source for source, _ in pairs], leaves)
        value.backward()
        return value.detach(), [leaf.grad for leaf in leaves]

    def step(self, data: None) -> None:
        """One forward and one backward pass."""
        self.outcome(self.pairs)


@command_line.command()
def main(argv: list[str] | None = None) -> None:
    """Measure, print tables and, if asked, write JSON."""
    args = parse_args(argv)
    command_line.check_out(args.out, args.overwrite)
    settings = {**vars(args), 'threads': torch.get_num_threads(), 'results': []}
    for index, (kind, patch_size) in enumerate(LOSSES):
        spec = {**settings, 'loss': index, 'shapes': SHAPES, 'num_patches': 256, 'warmup': 0}
        methods = [
            (f'{kind.__name__}, patch size {patch_size}, {form}', LossStep, dict(spec, dense=dense))
            for form, dense in (('dense', True), ('loop', False))
        ]
        steps = [LossStep(own) for *_, own in methods]
        outcomes = (step.outcome(step.pairs) for step in steps)
        torch.testing.assert_close(*outcomes, rtol=1e-3, atol=1e-6)
        settings['results'].append(measure(methods, count=False))
        print(report(settings['results'][-1]), flush=True)
    write_json(args.out, settings)


if __name__ == '__main__':
    main()
