"""MMagic's ResNet generator, made known to :mod:`sesim_mmagic.networks.strips`."""

from mmagic.models.editors.cyclegan.cyclegan_generator import ResnetGenerator
from mmagic.models.editors.cyclegan.cyclegan_modules import ResidualBlockWithDropout
from mmcv.cnn import ConvModule
from mmcv.cnn.bricks.wrappers import ConvTranspose2d
from torch import nn

from sesim_mmagic.networks.strips import Residual, register_layer


def _parts(module: ConvModule) -> nn.Sequential:
    if tuple(module.order) != ('conv', 'norm', 'act'):
        raise ValueError(f'{module} cannot be computed in strips: its order is {module.order}')
    names = 'padding_layer', 'conv', 'norm', 'activate'
    parts = (getattr(module, name, None) for name in names)
    return nn.Sequential(*(part for part in parts if part is not None))


def _plain(layer: ConvTranspose2d) -> nn.ConvTranspose2d:
    """MMCV's transposed convolution without its detour for empty tensors, of the same weights."""
    plain = nn.ConvTranspose2d.__new__(nn.ConvTranspose2d)
    plain.__dict__ = layer.__dict__
    return plain


register_layer(ResnetGenerator, lambda generator: generator.model)
register_layer(ResidualBlockWithDropout, lambda block: Residual(block.block))
register_layer(ConvModule, _parts)
register_layer(ConvTranspose2d, _plain)
