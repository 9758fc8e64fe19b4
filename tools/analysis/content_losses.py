"""Where content losses find errors: same structure in another appearance, and another structure.

    python tools/analysis/content_losses.py SOURCE SAME_STRUCTURE OTHER_STRUCTURE
    python tools/analysis/content_losses.py SOURCE OTHER_STRUCTURE --recolour
    python tools/analysis/content_losses.py --pairs FOLDER_A FOLDER_B [--limit N]
        [--feature-net FEATURES] [--trained CONFIG CHECKPOINT] [--out FIGURE.png]

Prints what the pixel, perceptual, PatchNCE, FSeSim and LSeSim losses (all positions as queries, on
a grid for PatchNCE; without weights) say about both pictures against the source: a content loss is
of use if it is lower for the same structure. The figure shows the error of each position, dark to
bright on one scale a loss. ``--recolour`` makes the picture of the same structure from the source,
by random curves and an exchange of channels. ``--pairs`` counts over a folder: pictures of one name
have the same structure, the other structure is that of the next name; the figure shows the first.

LSeSim's heads and PatchNCE's generator and perceptrons are untrained (``--seed``) unless
``--trained``, once or twice, gives the config and the checkpoint of a training with such a loss.
"""

import argparse

from arguments import create_parser

from sesim_mmagic.apis import command_line, feature_nets


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = create_parser(__doc__, 'content_losses.png', side=128)
    parser.add_argument('pictures', nargs='*', metavar='PICTURE')
    text = 'make the picture of the same structure'
    parser.add_argument('--recolour', action='store_true', help=text)
    parser.add_argument('--pairs', nargs=2, metavar=('FOLDER_A', 'FOLDER_B'))
    parser.add_argument('--limit', type=int, help='so many pairs (default: all)')
    feature_nets.add_feature_net(parser, '--feature-net', default='torchvision')
    text = 'a training with LSeSimLoss or PatchNCELoss'
    names = dict(metavar=('CONFIG', 'CHECKPOINT'), help=text)
    parser.add_argument('--trained', nargs=2, action='append', default=[], **names)
    parser.add_argument('--seed', type=int, default=0, help='of what is untrained, and of colours')
    args = parser.parse_args(argv)
    wanted = 0 if args.pairs else 2 if args.recolour else 3
    if len(args.pictures) != wanted or (args.pairs and args.recolour):
        parser.error(
            'give SOURCE SAME_STRUCTURE OTHER_STRUCTURE, or SOURCE OTHER_STRUCTURE --recolour, or '
            f'--pairs FOLDER_A FOLDER_B alone; got {len(args.pictures)} pictures'
        )
    if args.limit is not None and (not args.pairs or args.limit < 2):
        parser.error('--limit goes with --pairs and is 2 or more: others are of the next pair')
    return args


if __name__ == '__main__':
    command_line.answer_first(parse_args)

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from common import (
    build,
    load_part,
    pairs_of,
    read_config,
    read_square,
    recoloured,
    to_images,
    write_figure,
)
from error_maps import absolute_errors, on_one_grid, patch_nce_errors, spatial_errors, values_of
from mmengine.model import initialize
from torch import Tensor, nn

from sesim_mmagic.engine.map_figure import Cell
from sesim_mmagic.losses import LSeSimLoss, PatchNCELoss

#: From images (1 + M, 3, H, W) to a map (M, h, w) a layer.
Errors = Callable[[Tensor], list[Tensor]]


def build_losses(
    features: dict, trained: Sequence[tuple[str, str]], seed: int
) -> dict[str, Errors]:
    """The losses in the order of the table.

    Args:
        features (dict): Feature network and layers of all losses but trained ones.
        trained (list[tuple[str, str]]): Config and checkpoint of trainings with an LSeSim or a
            PatchNCE loss.
        seed (int): Of what is untrained.

    Returns:
        dict[str, Errors]: By title.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a config has another loss, or a checkpoint does not fit its config.
    """
    learned = {}
    for config, checkpoint in trained:
        name, errors = trained_loss(config, checkpoint)
        if name in learned:
            raise ValueError(f'--trained: two trainings with {name}; give one')
        learned[name] = errors

    def loss_of(name: str, **settings: object) -> nn.Module:
        return build(dict(type=f'sesim_mmagic.{name}', **settings), seed)

    generator = loss_of('ResNetBlurGenerator')
    initialize(generator, generator.init_cfg)  # its init_weights() logs every weight
    fixed = {
        'pixel': partial(absolute_errors, loss_of('PixelLoss')),
        'perceptual': partial(absolute_errors, loss_of('PerceptualLoss', **features)),
        'PatchNCE': partial(patch_nce_errors, loss_of('PatchNCELoss'), generator=generator),
        'FSeSim': partial(spatial_errors, loss_of('FSeSimLoss', **features)),
        'LSeSim': partial(spatial_errors, loss_of('LSeSimLoss', **features)),
    }
    notes = dict.fromkeys(('PatchNCE', 'LSeSim'), ', untrained') | dict.fromkeys(
        learned, ', trained'
    )
    return {name + notes.get(name, ''): learned.get(name, fixed[name]) for name in fixed}


def trained_loss(config: str, checkpoint: str) -> tuple[str, Errors]:
    """Name and errors of the loss of a training; see :func:`build_losses` for what is raised."""
    config = read_config(config)
    loss = build(config.model.structure_loss)
    if not isinstance(loss, (LSeSimLoss, PatchNCELoss)):
        raise ValueError(
            f'{config.filename}: its structure loss is {type(loss).__name__}; --trained takes '
            'trainings with LSeSimLoss or PatchNCELoss, the other losses learn nothing'
        )
    load_part(loss, 'structure_loss', config, checkpoint)
    name, errors = 'LSeSim', partial(spatial_errors, loss)
    if isinstance(loss, PatchNCELoss):
        generator = build(config.model.generator)
        load_part(generator, f'generators.{config.model.target_domain}', config, checkpoint)
        name, errors = 'PatchNCE', partial(patch_nce_errors, loss, generator=generator)
    order = config.model.get('data_preprocessor', {}).get('output_channel_order') or 'BGR'
    return name, (lambda images: errors(images.flip(1))) if order.upper() == 'RGB' else errors


def triples_of(args: argparse.Namespace) -> list[Sequence[np.ndarray]]:
    """The pictures that are compared: source, same structure, other structure.

    Raises:
        FileNotFoundError: If a picture or a folder is missing.
        ValueError: If a picture cannot be read, or two folders hold fewer than two pairs.
    """
    if not args.pairs:
        pictures = [read_square(path, args.side) for path in args.pictures]
        if args.recolour:
            pictures.insert(1, recoloured(pictures[0], args.seed))
        return [pictures]
    paths = zip(*pairs_of(*args.pairs, args.limit), strict=True)
    sources, sames = ([read_square(path, args.side) for path in folder] for folder in paths)
    return list(zip(sources, sames, [*sames[1:], sames[0]], strict=True))


def print_table(titles: Iterable[str], values: Tensor) -> None:
    """Print the values, shape (pairs, losses, 2), of one or of several pairs."""
    count = len(values)
    print(f'{"loss":<22}{"same":>10}{"other":>10}{"ratio":>8}  same structure scores lower')
    for title, pairs in zip(titles, values.unbind(1), strict=True):
        lower = int((pairs[:, 0] < pairs[:, 1]).sum())
        verdict = ('no', 'yes')[lower] if count == 1 else f'{lower} of {count} pairs'
        same, other = pairs.mean(dim=0).tolist()
        ratio = (pairs[:, 0] / pairs[:, 1]).mean().item()
        print(f'{title:<22}{same:>10.4f}{other:>10.4f}{ratio:>8.2f}  {verdict}')
    if count > 1:
        print('values are means over pairs; the ratio is the mean of same / other of each pair')


def draw(
    path: Path,
    heading: str,
    triple: Sequence[np.ndarray],
    maps: Mapping[str, list[Tensor]],
    values: Tensor,
) -> None:
    """Write the figure of one triple: errors of each loss by title, values (losses, 2)."""
    source, *others = map(Cell, triple)
    groups, cells = [(heading, ['source', 'compared'])], [[source, other] for other in others]
    for (title, errors), (same, other) in zip(maps.items(), values.tolist(), strict=True):
        groups.append((title, [f'same {same:.2f} other {other:.2f}']))
        for row, picture in zip(cells, coloured(on_one_grid(errors)), strict=True):
            row.append(Cell(picture))
    labels = 'same structure', 'other structure'
    write_figure(path, groups, list(zip(labels, cells, strict=True)))


def coloured(maps: Tensor) -> list[np.ndarray]:
    """Maps (M, h, w) as pictures on one scale: dark is the least value of all, bright the most.

    A figure would colour each map by itself, and hide which of them is larger.
    """
    shares = (maps - maps.min()) / (maps.max() - maps.min()).clamp_min(1e-12)
    levels = (255 * shares).round().byte().numpy()
    return [cv2.applyColorMap(level, cv2.COLORMAP_VIRIDIS) for level in levels]


@command_line.command()
@torch.no_grad()
def main(argv: list[str] | None = None) -> None:
    """Print the table and draw the figure."""
    args = parse_args(argv)
    command_line.check_out(args.out, args.overwrite)
    triples = triples_of(args)
    features = feature_nets.feature_settings(args.feature_net)
    losses = build_losses(features, args.trained, args.seed)
    values, first = [], None
    for triple in triples:
        images = to_images(*triple)
        with feature_nets.naming_the_option(
            '--feature-net'
        ):  # weights are read by the first of them
            maps = {title: errors(images) for title, errors in losses.items()}
        values.append(torch.stack([values_of(errors) for errors in maps.values()]))
        first = first or maps
    print_table(losses, torch.stack(values))
    draw(args.out, feature_nets.describe(features['feature_net']), triples[0], first, values[0])


if __name__ == '__main__':
    main()
