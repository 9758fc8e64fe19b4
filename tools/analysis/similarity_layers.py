"""Self-similarity of chosen points through a network's layers, two pictures side by side.

    python tools/analysis/similarity_layers.py PICTURE_A PICTURE_B [--points X,Y ... | --click]
        [--points-b X,Y ...] [--layers LAYER ...] [--feature-net FEATURES] [--out FIGURE.png]

One row a picture and point (the cross): for each layer its cosine similarity to every position,
coloured from the smallest to the largest value. Prints for each point and layer the spatial
distance of the two maps (FSeSim's, cosine, A as source and B as translation): 0 where what is
alike in A is alike in B.
"""

from arguments import add_points, create_parser

from sesim_mmagic.apis import command_line, feature_nets


def parse_args(argv=None):
    """Parse the command line."""
    parser = create_parser(__doc__, 'similarity_layers.png', side=256)
    parser.add_argument('picture_a')
    parser.add_argument('picture_b')
    choice = parser.add_mutually_exclusive_group()
    text = 'queries, as shares of width and height (default: 0.35,0.3)'
    add_points(choice, '--points', [(0.35, 0.3)], text)
    text = 'choose the points with the mouse, in a window'
    choice.add_argument('--click', action='store_true', help=text)
    add_points(parser, '--points-b', None, 'the points of B, as many as of A (default: the same)')
    parser.add_argument('--layers', nargs='+', help='default: the ends of the stages')
    feature_nets.add_feature_net(parser, '--feature-net', default='torchvision')
    return parser.parse_args(argv)


if __name__ == '__main__':
    command_line.answer_first(parse_args)

import torch
from common import build, layers_of, read_square, to_images, write_figure

from sesim_mmagic.engine.map_figure import Cell
from sesim_mmagic.functional import spatial_distance


def clicked_points(picture):
    """Points that the user clicks in a window, as shares of width and height.

    Raises:
        ValueError: If no window can be opened, or it was closed without a click.
    """
    from matplotlib import pyplot

    figure = pyplot.figure()
    if figure.canvas.required_interactive_framework is None:
        raise ValueError(
            f'--click needs a window, and matplotlib has none here (its backend is '
            f'{pyplot.get_backend()}); give --points X,Y, or set DISPLAY or MPLBACKEND'
        )
    return ask_for_points(figure, picture)


def ask_for_points(figure, picture):
    """See :func:`clicked_points`; ``figure`` belongs to a canvas that can be clicked."""
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set_title('left: a point; right: take the last one back; enter: done')
    axes.imshow(picture[..., ::-1])
    height, width = picture.shape[:2]
    # Pixels have their centres at whole numbers; a click at the rim belongs to the picture.
    clicks = [((x + 0.5) / width, (y + 0.5) / height) for x, y in figure.ginput(-1, timeout=0)]
    points = [point for point in clicks if all(0 <= share < 1 for share in point)]
    if not points:
        raise ValueError('no point of the picture was clicked; click one, or give --points X,Y')
    return points


@command_line.command()
@torch.no_grad()
def main(argv=None):
    """Print the distances and draw the figure."""
    args = parse_args(argv)
    command_line.check_out(args.out, args.overwrite)
    pictures = [read_square(path, args.side) for path in (args.picture_a, args.picture_b)]
    points_a = clicked_points(pictures[0]) if args.click else args.points
    points = points_a, args.points_b or points_a
    if len(points[1]) != len(points_a):
        raise ValueError(f'--points-b: {len(points[1])} points for {len(points_a)} of picture A')
    feature_net = feature_nets.feature_settings(args.feature_net)['feature_net']
    layers = args.layers or list(layers_of(feature_net))
    loss = build(dict(type='sesim_mmagic.FSeSimLoss', layers=layers, feature_net=feature_net))
    with feature_nets.naming_the_option('--feature-net'):
        loss.init_weights()  # may take a download: mistakes are named before
    maps = [
        list(loss.similarity_maps(to_images(picture), of_picture).values())
        for picture, of_picture in zip(pictures, points, strict=True)
    ]
    both = [[layer.flatten(2) for layer in of_picture] for of_picture in maps]
    distances = [spatial_distance(a, b, reduction='none')[0] for a, b in zip(*both, strict=True)]
    print('distance of the maps of A and B'.ljust(34) + ''.join(f' {x:>8}' for x in layers))
    rows = []
    for index, places in enumerate(zip(*points, strict=True)):
        names = [f'{name} {x:.3g},{y:.3g}' for name, (x, y) in zip('AB', places, strict=True)]
        values = ''.join(f'{layer[index]:>9.4f}' for layer in distances)
        print('  '.join(names).ljust(34) + values)
        for name, picture, place, of_picture in zip(names, pictures, places, maps, strict=True):
            cells = [Cell(layer[0, index].numpy(), place) for layer in of_picture]
            rows.append((name, [Cell(picture, place), *cells]))
    groups = [('', ['picture']), (feature_nets.describe(feature_net), layers)]
    write_figure(args.out, groups, rows)


if __name__ == '__main__':
    main()
