"""What the command lines of the analysis tools share."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sesim_mmagic.apis import command_line


def create_parser(
    description: str, figure: str | None = None, side: int | None = None
) -> argparse.ArgumentParser:
    """A parser with ``--out`` for a figure, required without a default, and perhaps ``--side``."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    settings = dict(default=figure, required=figure is None, help='PNG to write')
    command_line.add_out(parser, type=_figure_path, **settings)
    if side:
        text = 'pictures of another size are resized to this square (default: %(default)s)'
        parser.add_argument('--side', type=int, default=side, help=text)
    return parser


def add_points(parser: Any, name: str, default: list | None, text: str) -> None:
    """Add an option that takes queries."""
    parser.add_argument(name, nargs='+', type=_point, default=default, metavar='X,Y', help=text)


def add_feature_net(parser: argparse.ArgumentParser) -> None:
    """Add ``--feature-net``, which gives the config of a feature network."""

    def feature_net(text: str) -> dict:
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


def _point(text: str) -> tuple[float, ...]:
    try:
        shares = tuple(float(share) for share in text.split(','))
    except ValueError:
        shares = ()
    if len(shares) != 2 or not all(0 <= share < 1 for share in shares):
        raise argparse.ArgumentTypeError(
            f'a point is X,Y, shares of width and height from 0 to below 1; got {text!r}'
        )
    return shares


def _figure_path(text: str) -> Path:
    if not text.lower().endswith('.png'):
        raise argparse.ArgumentTypeError(f'a figure is a PNG, name it so; got {text!r}')
    return Path(text)


@contextmanager
def naming_the_option() -> Iterator[None]:
    """Say of missing weights which option of these tools gives others, not which setting."""
    from sesim_mmagic.networks.state_dicts import WeightsMissing

    try:
        yield
    except WeightsMissing as error:
        raise FileNotFoundError(
            f'{error.problem} give --feature-net random, torchvision or the path of a file'
        ) from None


def weights_of(feature_net: dict) -> str:
    """Where the weights of a feature network come from, short, for figures."""
    pretrained = feature_net['pretrained']
    return f'VGG16: {"random" if pretrained is None else Path(pretrained).name}'
