"""Show what the heads of LSeSim learned: self-similarity maps of a few queries, before and after.

    python tools/analysis/learned_maps.py CONFIG CHECKPOINT PICTURE [PICTURE ...]
        [--points X,Y ...] [--out maps.png]

One row a picture and query (the cross): for each layer its cosine similarity to every position in
the features of VGG16, in the heads as they were initialised, and in the trained heads. Maps are
coloured from their smallest to their largest value. Prints, for each layer, how well a query finds
itself in a view of another appearance: the share of queries whose most similar map, among all
queries of the view, is their own.
"""

import argparse

from arguments import add_points, create_parser

from sesim_mmagic.apis import command_line


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = create_parser(__doc__, 'maps.png', side=128)
    parser.add_argument('config')
    parser.add_argument('checkpoint')
    parser.add_argument('pictures', nargs='+')
    text = 'queries, as shares of width and height (default: 0.35,0.3 0.6,0.6)'
    add_points(parser, '--points', [(0.35, 0.3), (0.6, 0.6)], text)
    return parser.parse_args(argv)


if __name__ == '__main__':
    command_line.answer_first(parse_args)

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import torch
from common import build, load_part, read_config, read_square, recoloured, to_images, write_figure
from torch import Tensor

from sesim_mmagic.engine.map_figure import Cell
from sesim_mmagic.functional import sample_positions, self_similarity
from sesim_mmagic.losses import LearnedStructureLoss

STATES = ('VGG16', 'untrained', 'trained')


def build_losses(config: str, checkpoint: str) -> list[LearnedStructureLoss]:
    """The loss of a config as it starts and as it was trained.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If the config's structure loss does not learn, or the checkpoint has no heads.
    """
    config = read_config(config)
    settings = config.model.structure_loss, config.randomness.seed
    losses = [build(*settings) for _ in range(2)]
    if not isinstance(losses[0], LearnedStructureLoss):
        raise ValueError(
            f'{config.filename}: model.structure_loss is {type(losses[0]).__name__}, which does '
            'not learn; give a config with an LSeSimLoss'
        )
    for loss in losses:
        loss.init_weights()
    load_part(losses[1], 'structure_loss', config, checkpoint)
    return losses


def features_of(
    losses: Sequence[LearnedStructureLoss], picture: np.ndarray
) -> list[tuple[Tensor, ...]]:
    """For each layer the features of the three states."""
    features = losses[0].extract(to_images(picture))
    return list(zip(features, *(loss.project(features) for loss in losses), strict=True))


def maps_of(
    losses: Sequence[LearnedStructureLoss], picture: np.ndarray, point: tuple[float, float]
) -> Iterator[np.ndarray]:
    """For each layer, and in it for each state, the map (h, w) of the query at ``point``."""
    for states in features_of(losses, picture):
        height, width = states[0].shape[2:]
        position = torch.tensor([int(point[1] * height) * width + int(point[0] * width)])
        for features in states:
            similarity = self_similarity(features, position, max(height, width))
            yield similarity.view(height, width).numpy()


def shares_of_finds(
    losses: Sequence[LearnedStructureLoss], picture: np.ndarray, queries: int = 256
) -> Tensor:
    """For each layer and state the share of queries that find themselves in another view."""
    views = [features_of(losses, view) for view in (picture, recoloured(picture, seed=0))]
    shares = []
    for states, view_states in zip(*views, strict=True):
        positions = sample_positions(*states[0].shape[2:], queries)
        shares.append([])
        for pair in zip(states, view_states, strict=True):
            maps = [self_similarity(f, positions, losses[0].patch_size)[0] for f in pair]
            maps = [torch.nn.functional.normalize(m, dim=1) for m in maps]
            nearest = (maps[0] @ maps[1].T).argmax(dim=1)
            shares[-1].append((nearest == torch.arange(len(nearest))).float().mean().item())
    return torch.tensor(shares)


@command_line.command()
@torch.no_grad()
def main(argv: list[str] | None = None) -> None:
    """Draw the figure and print the shares."""
    args = parse_args(argv)
    command_line.check_out(args.out, args.overwrite)
    losses = build_losses(args.config, args.checkpoint)
    pictures = [read_square(path, args.side) for path in args.pictures]
    layers = losses[0].feature_net.layers
    rows = []
    for picture, point in product(pictures, args.points):
        cells = [Cell(values, point) for values in (picture, *maps_of(losses, picture, point))]
        rows.append((f'{point[0]:.3g},{point[1]:.3g}', cells))
    write_figure(args.out, [('', ['query']), *((layer, STATES) for layer in layers)], rows)
    shares = torch.stack([shares_of_finds(losses, p) for p in pictures]).mean(dim=0)
    print('queries that find themselves in another view:')
    for layer, values in zip(layers, shares, strict=True):
        print(f'{layer}: ' + ', '.join(f'{s} {v:.2f}' for s, v in zip(STATES, values, strict=True)))


if __name__ == '__main__':
    main()
