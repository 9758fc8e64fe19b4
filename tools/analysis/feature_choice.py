"""Which features tell the structure of your pictures, before a training.

    python tools/analysis/feature_choice.py --pairs FOLDER_A FOLDER_B [--feature-nets FEATURES ...]
    python tools/analysis/feature_choice.py --pictures FOLDER [--feature-nets FEATURES ...]

For each layer of each network: FSeSim's distance (cosine, normalized features, many positions)
between pictures of the same structure, between pictures of another structure, and their ratio: the
lower, the better the features tell structure from appearance. Pictures of one name in two folders
have the same structure. Of one folder each picture is compared with itself in other colours: a
random rising or falling brightness curve for each channel, the channels in random order, then
brightness, contrast and saturation by up to a half and hue by up to .3 of the circle. Such pictures
ask only whether features overlook colour, so take pairs where there are any. The other structure is
that of the next name. Values are means over pairs, the ratio is that of the means.

RMS is the root mean square of a layer's map, by which TimmFeatures divides it. The last lines are
the structure loss on the best network's best layers, to paste into a config. Maps of less than
16 x 16 positions are not chosen: a loss on them does not say where.
"""

import argparse

from arguments import add_side

from sesim_mmagic.apis import command_line, feature_nets


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    folders = parser.add_mutually_exclusive_group(required=True)
    text = 'pictures of one name have the same structure'
    folders.add_argument('--pairs', nargs=2, metavar=('FOLDER_A', 'FOLDER_B'), help=text)
    folders.add_argument('--pictures', metavar='FOLDER', help='compared with themselves recoloured')
    words = ['package', 'random']
    feature_nets.add_feature_net(parser, '--feature-nets', nargs='+', default=words)
    text = 'so many pairs, the first by name (default: %(default)s)'
    parser.add_argument('--limit', type=int, default=50, help=text)
    add_side(parser, 128)
    parser.add_argument('--seed', type=int, default=0, help='of the positions and of the colours')
    args = parser.parse_args(argv)
    if args.limit < 2:
        parser.error('--limit must be 2 or more: the other structure is that of the next pair')
    return args


if __name__ == '__main__':
    command_line.answer_first(parse_args)

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from common import build, layers_of, pairs_of, read_square, recoloured, to_images
from rich.console import Console
from rich.progress import track

from sesim_mmagic.functional import sample_positions, self_similarity, spatial_distance
from sesim_mmagic.networks.frozen_features import FrozenFeatures
from sesim_mmagic.networks.state_dicts import WeightsMissing
from sesim_mmagic.utils.images import list_images
from sesim_mmagic.utils.names import pictures_by_name

QUERIES = 256  # positions a layer and pair, as many as FSeSim draws in a step
WINDOW = 64  # FSeSim's patch_size
FEWEST = 4  # positions a side that are measured: fewer hardly make a map
FINE = 16  # positions a side that a layer needs to be chosen
MOST = 3  # layers that are chosen
BLIND = 0.9  # mean ratio above which features do not tell structure


class Row(NamedTuple):
    """What is said of a layer."""

    layer: str
    size: tuple[int, int]
    same: float
    other: float
    rms: float

    @property
    def ratio(self) -> float:
        """Distance of the same structure over that of another."""
        return self.same / self.other


def read_pairs(args: argparse.Namespace) -> list[list[np.ndarray]]:
    """Pictures (side, side, 3), and as many of the same structure in the same order.

    Raises:
        FileNotFoundError: If a folder is missing.
        ValueError: If a picture cannot be read, or there are fewer than two pairs.
    """
    if args.pairs:
        paths = pairs_of(*args.pairs, args.limit)
        folders = zip(*paths, strict=True)
        return [[read_square(path, args.side) for path in folder] for folder in folders]
    paths = list(pictures_by_name(list_images(args.pictures)).values())[: args.limit]
    if len(paths) < 2:
        raise ValueError(f'{args.pictures} holds one picture; at least two are compared')
    pictures = [read_square(path, args.side) for path in paths]
    return [pictures, [recoloured(p, args.seed + number) for number, p in enumerate(pictures)]]


def read_networks(words: Sequence[str], side: int) -> list[tuple[dict, FrozenFeatures]]:
    """Config and network of each word, with its weights, on the layers that are measured.

    Raises:
        FileNotFoundError: If weights are missing; all of them are named.
        ValueError: If timm has no such model, or ``side`` is too small for a network.
    """
    networks, missing = [], []
    for word in words:
        config = feature_nets.feature_settings(word)['feature_net']
        strides = layers_of(config)
        layers = [layer for layer in strides if side // strides[layer] >= FEWEST]
        if not layers:
            least = FEWEST * min(strides.values())
            raise ValueError(f'--side {side} is too small for {word}, which needs {least} or more')
        networks.append((config, build({**config, 'layers': layers})))
        try:
            networks[-1][1].init_weights()
        except WeightsMissing as error:
            missing.append(error.problem.rstrip(';'))
    if missing:
        raise FileNotFoundError(f'{"; ".join(missing)}; give --feature-nets {feature_nets.WORDS}')
    return networks


def measure(
    network: FrozenFeatures, sources: list[np.ndarray], sames: list[np.ndarray], seed: int
) -> list[Row]:
    """A :class:`Row` for each layer; ``sames`` have the structure of ``sources``, in this order."""
    generator = torch.Generator().manual_seed(seed)
    distances, squares, sizes = ({layer: [] for layer in network.layers} for _ in range(3))
    following = network(to_images(sames[0]))
    progress = track(sources, network.name, console=Console(stderr=True), transient=True)
    for number, picture in enumerate(progress, 1):
        source, same = network(to_images(picture)), following
        following = network(to_images(sames[number % len(sames)]))
        for layer in network.layers:
            maps = torch.cat([source[layer], same[layer], following[layer]])
            positions = sample_positions(*maps.shape[2:], QUERIES, generator)
            of_source, *others = self_similarity(maps, positions, WINDOW).split(1)
            distances[layer].append([spatial_distance(of_source, other) for other in others])
            squares[layer].append(maps[:2].square().mean())
            sizes[layer] = tuple(maps.shape[2:])
    return [
        Row(
            layer,
            sizes[layer],
            *torch.tensor(distances[layer]).mean(dim=0).tolist(),
            torch.stack(squares[layer]).mean().sqrt().item(),
        )
        for layer in network.layers
    ]


def choose(rows: list[Row]) -> list[Row]:
    """The layers with the lowest ratios among those fine enough, fine to coarse; maybe none."""
    fine = [row for row in rows if min(row.size) >= FINE]
    chosen = sorted(fine, key=lambda row: row.ratio)[:MOST]
    return [row for row in rows if row in chosen]


def mean_ratio(rows: list[Row]) -> float:
    """Of a network's layers; the lower, the better."""
    return sum(row.ratio for row in rows) / len(rows)


def config_line(config: dict, rows: list[Row]) -> str:
    """The structure loss on these layers of a network, as it stands in a config."""
    config = dict(config)
    if 'model' in config:
        config['rms'] = tuple(float(f'{row.rms:.3g}') for row in rows)
    layers = tuple(row.layer for row in rows)
    # Raw maps, as in all recipes: normalized ones reward copying the source.
    loss = dict(type='sesim_mmagic.FSeSimLoss', layers=layers, normalize=False, feature_net=config)
    return f'structure_loss={in_words(loss)},'


def in_words(value: object) -> str:
    """A setting as configs write it."""
    if not isinstance(value, dict):
        return repr(value)
    return f'dict({", ".join(f"{key}={in_words(item)}" for key, item in value.items())})'


def print_table(config: dict, rows: list[Row]) -> None:
    """The lines of one network; those of chosen layers have a star."""
    chosen = choose(rows)
    print(feature_nets.describe(config))
    for row in rows:
        star, size = '*' if row in chosen else ' ', f'{row.size[0]} x {row.size[1]}'
        values = f'{row.same:>8.4f}{row.other:>8.4f}{row.ratio:>7.2f}{row.rms:>8.3g}'
        print(f'{star} {row.layer:<20}{size:>10}{values}')


@command_line.command()
@torch.no_grad()
def main(argv: list[str] | None = None) -> None:
    """Print the table and the best network's config."""
    args = parse_args(argv)
    pairs = read_pairs(args)
    networks = read_networks(args.feature_nets, args.side)
    print(f'{"layer":<22}{"map":>10}{"same":>8}{"other":>8}{"ratio":>7}{"RMS":>8}')
    candidates = []
    for config, network in networks:
        rows = measure(network, *pairs, args.seed)
        print_table(config, rows)
        if chosen := choose(rows):
            candidates.append((mean_ratio(chosen), config, chosen))
    print(f'{len(pairs[0])} pairs; * {MOST} best layers of at least {FINE} x {FINE} positions')
    if not candidates:
        print('no layer has as many: none is chosen; give a larger --side')
        return
    ratio, config, chosen = min(candidates, key=lambda candidate: candidate[0])
    print(
        f'best: {feature_nets.describe(config)}, mean ratio {ratio:.2f}; in the model of a config'
    )
    print('(feature_net=dict(_delete_=True, ...) where a base config has another):')
    if ratio > BLIND:
        print(f'WARNING: above {BLIND} no layer tells the structure of these pictures')
    print(config_line(config, chosen))


if __name__ == '__main__':
    main()
