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
from pathlib import Path

import cv2
import torch

from sesim_mmagic.apis import read_weights
from sesim_mmagic.datasets import AppearanceView, read_picture
from sesim_mmagic.functional import sample_positions, self_similarity
from sesim_mmagic.losses import LearnedStructureLoss
from sesim_mmagic.registry import MODELS

STATES = ('VGG16', 'untrained', 'trained')


def parse_args():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config')
    parser.add_argument('checkpoint')
    parser.add_argument('pictures', nargs='+')
    parser.add_argument(
        '--points',
        nargs='+',
        default=['0.35,0.3', '0.6,0.6'],
        help='queries, as shares of the size',
    )
    parser.add_argument('--side', type=int, default=128, help='pictures are resized to this square')
    parser.add_argument('--out', default='maps.png')
    args = parser.parse_args()
    args.points = [tuple(float(value) for value in point.split(',')) for point in args.points]
    if any(len(point) != 2 or not all(0 <= v < 1 for v in point) for point in args.points):
        parser.error('--points are pairs X,Y of shares of width and height, from 0 to below 1')
    return args


def build_losses(config, checkpoint):
    """The loss of a config as it starts and as it was trained.

    Raises:
        ValueError: If the config's structure loss does not learn, or the checkpoint has no heads.
    """
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    config = Config.fromfile(config)
    init_default_scope(config.default_scope)
    torch.manual_seed(config.randomness.seed)
    losses = [MODELS.build(config.model.structure_loss) for _ in range(2)]
    if not isinstance(losses[0], LearnedStructureLoss):
        raise ValueError(
            f'{config.filename}: model.structure_loss is {type(losses[0]).__name__}, which does '
            'not learn; give a config with an LSeSimLoss'
        )
    prefix = 'structure_loss.'
    weights = read_weights(checkpoint)
    weights = {k[len(prefix) :]: v for k, v in weights.items() if k.startswith(prefix)}
    if weights.keys() != losses[1].state_dict().keys():
        raise ValueError(f'{checkpoint} does not hold the heads of {config.filename}')
    for loss in losses:
        loss.init_weights()
    losses[1].load_state_dict(weights)
    return losses


def to_images(picture):
    """(H, W, 3) BGR uint8 to (1, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(picture.transpose(2, 0, 1).copy())[None].float() / 127.5 - 1


def features_of(losses, images):
    """For each layer the features of the three states."""
    look = losses[0].extract(images)
    projected = [
        [head(f) for head, f in zip(loss.heads.values(), look, strict=True)] for loss in losses
    ]
    return list(zip(look, *projected, strict=True))


def maps_of(losses, picture, point):
    """For each layer and state the map (h, w) of the query at ``point``."""
    layers = []
    for states in features_of(losses, to_images(picture)):
        height, width = states[0].shape[2:]
        position = torch.tensor([int(point[1] * height) * width + int(point[0] * width)])
        maps = [self_similarity(f, position, max(height, width)) for f in states]
        layers.append([m.view(height, width).numpy() for m in maps])
    return layers


def found_in_another_view(losses, picture, queries=256):
    """For each layer and state the share of queries that find themselves in another view."""
    torch.manual_seed(0)
    view = AppearanceView(['img'], colour_map=1.0).transform(dict(img=picture))['img_aug']
    looks = [features_of(losses, to_images(p)) for p in (picture, view)]
    shares = []
    for states, view_states in zip(*looks, strict=True):
        positions = sample_positions(*states[0].shape[2:], queries)
        shares.append([])
        for pair in zip(states, view_states, strict=True):
            maps = [self_similarity(f, positions, losses[0].patch_size)[0] for f in pair]
            maps = [torch.nn.functional.normalize(m, dim=1) for m in maps]
            nearest = (maps[0] @ maps[1].T).argmax(dim=1)
            shares[-1].append((nearest == torch.arange(len(nearest))).float().mean().item())
    return torch.tensor(shares)


def draw(path, layers, rows):
    """Write the figure; ``rows`` hold a picture, a point and its maps."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    columns = 1 + len(layers) * len(STATES)
    figure, axes = pyplot.subplots(
        len(rows), columns, figsize=(1.5 * columns, 1.6 * len(rows)), squeeze=False
    )
    for axis in axes.flat:
        axis.set_axis_off()
    for line, (picture, point, maps) in zip(axes, rows, strict=True):
        line[0].imshow(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
        line[0].plot(point[0] * picture.shape[1], point[1] * picture.shape[0], 'x', color='cyan')
        for axis, values in zip(line[1:], (m for layer in maps for m in layer), strict=True):
            axis.imshow(values, cmap='viridis')
    titles = [f'{layer}\n{state}' for layer in layers for state in STATES]
    for axis, title in zip(axes[0], ['query', *titles], strict=True):
        axis.set_title(title, fontsize=8)
    figure.tight_layout(pad=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


@torch.no_grad()
def main():
    """Draw the figure and print the shares."""
    args = parse_args()
    losses = build_losses(args.config, args.checkpoint)
    pictures = [cv2.resize(read_picture(p), (args.side, args.side)) for p in args.pictures]
    rows = [(p, point, maps_of(losses, p, point)) for p in pictures for point in args.points]
    layers = losses[0].feature_net.layers
    draw(Path(args.out), layers, rows)
    shares = torch.stack([found_in_another_view(losses, p) for p in pictures]).mean(dim=0)
    print('queries that find themselves in another view:')
    for layer, values in zip(layers, shares, strict=True):
        print(f'{layer}: ' + ', '.join(f'{s} {v:.2f}' for s, v in zip(STATES, values, strict=True)))
    print(f'maps: {args.out}')


if __name__ == '__main__':
    main()
