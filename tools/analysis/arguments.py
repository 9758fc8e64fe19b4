"""What the command lines of the analysis tools share."""

import argparse
from contextlib import contextmanager
from pathlib import Path


def point(text):
    """``'X,Y'`` as two shares of width and height; a type of argparse."""
    try:
        shares = tuple(float(share) for share in text.split(','))
    except ValueError:
        shares = ()
    if len(shares) != 2 or not all(0 <= share < 1 for share in shares):
        raise argparse.ArgumentTypeError(
            f'a point is X,Y, shares of width and height from 0 to below 1; got {text!r}'
        )
    return shares


def figure_path(text):
    """Where a figure goes; a type of argparse."""
    path = Path(text)
    if path.suffix.lower() != '.png':
        raise argparse.ArgumentTypeError(f'a figure is a PNG, name it so; got {text!r}')
    return path


def add_feature_net(parser):
    """Add ``--feature-net``, which gives the config of a feature network."""

    def feature_net(text):
        weights = dict(pretrained=None, seed=0) if text == 'random' else dict(pretrained=text)
        return dict(type='sesim_mmagic.VGG16Features', **weights)

    parser.add_argument(
        '--feature-net',
        type=feature_net,
        default='torchvision',
        metavar='random|torchvision|PATH',
        help='weights of VGG16: random (seed 0), ImageNet weights of torchvision (downloaded '
        "once), or a file with a state dict of torchvision's vgg16 (default: %(default)s)",
    )


@contextmanager
def naming_the_option():
    """Say of missing weights which option of these tools gives others.

    Raises:
        FileNotFoundError: In the place of an error that names a setting of a config.
    """
    from sesim_mmagic.networks.state_dicts import WeightsMissing

    try:
        yield
    except WeightsMissing as error:
        raise FileNotFoundError(
            f'{error.problem} give --feature-net random, torchvision or the path of a file'
        ) from None


def weights_of(feature_net):
    """Where the weights of a feature network come from, short, for figures."""
    pretrained = feature_net['pretrained']
    return f'VGG16: {"random" if pretrained is None else Path(pretrained).name}'


def add_side(parser, default):
    """Add ``--side``: all pictures become squares of this side."""
    parser.add_argument(
        '--side',
        type=int,
        default=default,
        help='pictures of another size are resized to this square (default: %(default)s)',
    )
